"""What the cards of models and of data sets have in common."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import CardData, RepoCard

from aligners.core.rows import atomic_path

ENGLISH = "en"
PAPER = (
    "The method: [Aligners: Decoupling LLMs and Alignment](https://arxiv.org/abs/2403.04224) "
    "(arXiv 2403.04224)."
)


def save_card(
    card: type[RepoCard], metadata: CardData, sections: Mapping[str, str], path: Path
) -> None:
    """Write a card, atomically: the metadata, then a heading and a text for each section."""
    headings = ["#", *["##"] * (len(sections) - 1)]
    parts = [
        f"{mark} {title}\n\n{text.strip()}\n"
        for mark, (title, text) in zip(headings, sections.items(), strict=True)
    ]
    with atomic_path(path) as partial:
        card("\n".join([f"---\n{metadata.to_yaml()}\n---", *parts])).save(partial)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a table in Markdown; numbers are shown with four digits."""
    lines = [header, ["---"] * len(header), *([shown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def shown(value: Any) -> str:
    """Return a value as the text of a cell, in which a vertical bar would end it."""
    if isinstance(value, float):
        text = f"{value:.4g}"
    elif isinstance(value, list):
        text = ", ".join(shown(item) for item in value)
    else:
        text = str(value)
    return text.replace("|", "\\|")
