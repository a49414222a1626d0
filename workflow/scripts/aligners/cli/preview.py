"""The preview of a run in the terminal: prompts as sent, completions, and the rows made of them."""

from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stderr
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from aligners.cli import show
from aligners.cli.show import ADDED, NOTE, REFUSED
from aligners.configuration.kinds.config import Config
from aligners.core.completions import Completion, Failure, Prompt
from aligners.core.counts import Filtered
from aligners.core.errors import UserError
from aligners.core.formats import count as short_count
from aligners.core.formats import printable, printable_lines
from aligners.core.rows import Row
from aligners.estimate.stages import load_experiment
from aligners.estimate.table import make_console
from aligners.preview.asking import LOGS, Ask, Batch, Reply, separate_processes
from aligners.preview.exchange import Exchange, StagePreview
from aligners.preview.stages import preview_stages

# Of progress bars and warnings of the stages.
LOG = LOGS / "stages.log"
print_field = partial(show.print_field, indent=12)  # The longest label is "completion".
# The fields of a row that are shown, and their labels.
LABELS = {
    "topic": "topic",
    "question": "question",
    "response": "response",
    "critique": "critique",
    "aligned_response": "correction",
    "label": "label",
    "verdict": "verdict",
}
SHOWN = {
    "topics": ("topic",),
    "questions": ("question",),
    "pairs": ("response", "critique", "aligned_response"),
    "import": ("question", "response", "critique", "aligned_response", "label"),
    "verdicts": ("verdict",),
}
RESPONSES = ("response",)


def print_preview(path: Path, criterion: str | None, rows: int) -> None:
    """Print the first rows of each stage of a configuration, with the prompts as sent.

    Args:
        path: the configuration, which is merged over config/config.yaml.
        criterion: of the topics, questions and pairs; None for the first one.
        rows: number of rows of each stage.

    Raises:
        UserError: the configuration or an option is invalid, an LLM cannot be used, or a stage has
            no row.
    """
    if rows < 1:
        raise UserError(f"--rows {rows}: not a number of rows; give 1 or more")
    config = load_experiment(path)
    criterion = criterion or config.criteria[0]
    if criterion not in config.criteria:
        raise UserError(
            f"--criterion {criterion}: not in {path}; give one of {', '.join(config.criteria)}"
        )
    console = make_console()
    LOG.parent.mkdir(parents=True, exist_ok=True)
    with separate_processes() as ask, LOG.open("a", encoding="utf-8") as log:
        stages = preview_stages(config, criterion, rows, partial(announced, console, ask))
        while True:
            with redirect_stderr(log):
                stage = next(stages, None)
            if stage is None:
                break
            print_stage(console, stage, rows)
            stage.check()
    console.print(Text(closing_note(config, criterion), style=NOTE))


def announced(console: Console, ask: Ask, batch: Batch) -> Reply:
    """Print which LLM is asked for what, and ask it."""
    count = number_of(len(batch.requests), "request")
    message = f"Asking {batch.llm}: {batch.stage}, {count} (log: {LOGS / batch.llm}.log)"
    console.print(Text(message, style=NOTE), soft_wrap=True)
    return ask(batch)


def closing_note(config: Config, criterion: str) -> str:
    """Return what the preview left out, and what happens with its completions."""
    others = [name for name in config.criteria if name != criterion]
    left_out = f" Other criteria: --criterion {', '.join(others)}." if others else ""
    return (
        f"The criterion {criterion}.{left_out} The completions are kept; a run does not send a "
        "request again that it shares with this preview."
    )


def print_stage(console: Console, stage: StagePreview, rows: int) -> None:
    """Print a stage: its name and LLM, then each prompt, its completion and its rows."""
    title = printable(f"{stage.name} · {stage.llm}" if stage.llm else stage.name)
    console.rule(Text(title, style="bold"), align="left", style=NOTE)
    if stage.note:
        console.print(Text(printable(stage.note), style=NOTE), soft_wrap=True)
    for number, exchange in enumerate(stage.exchanges):
        earlier = stage.exchanges[number - 1].prompt if number else None
        print_exchange(console, stage.name, exchange, earlier, rows)
    if stage.usage is not None:
        print_field(console, "usage", Text(usage_text(stage.usage), NOTE))
        console.print()


def usage_text(usage: dict[str, Any]) -> str:
    """Return the completions, tokens and cost of a stage."""
    tokens_in, tokens_out = (short_count(usage[f"tokens_{way}"]) for way in ("in", "out"))
    completions = number_of(usage["completions"], "completion")
    cost = "" if usage["cost"] is None else f"; {usage['cost']:.2g} {usage['currency']}"
    return f"{completions}; tokens: {tokens_in} in, {tokens_out} out{cost}"


def number_of(count: int, thing: str) -> str:
    """Return a number of things: `1 request`, `2 requests`."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def print_exchange(
    console: Console, stage: str, exchange: Exchange, earlier: Prompt | None, rows: int
) -> None:
    """Print a prompt, its completion, and the first rows made of it, kept and dropped."""
    if exchange.prompt is not None:
        print_prompt(console, exchange.prompt, earlier)
    if exchange.result is not None:
        print_result(console, exchange.result)
    print_rows(console, exchange.rows, SHOWN.get(stage.split()[0], RESPONSES), rows)
    if removed := +exchange.removed:
        print_field(console, "removed", Text(counts_text(removed), NOTE))
    console.print()


def print_result(console: Console, result: Completion | Failure) -> None:
    """Print a completion as it came, or why there is none."""
    if isinstance(result, Failure):
        print_field(console, "failed", Text(printable(result.message), style=REFUSED))
        return
    text = Text(printable_lines(result.text.strip("\n")))
    print_field(console, "completion", text if text.plain.strip() else Text("(empty)", NOTE))
    if result.finish == "length":
        print_field(console, "", Text("(cut off at the token limit)", style=REFUSED))


def print_rows(
    console: Console, rows: Sequence[Filtered], fields: Sequence[str], most: int
) -> None:
    """Print how many rows are kept and dropped, and at most `most` of each."""
    kept = [row for row, reason in rows if reason is None]
    dropped = [(row, reason) for row, reason in rows if reason is not None]
    shown = f" ({most} shown)" if most < len(kept) else ""
    print_field(console, "kept", Text(f"{len(kept)} of {len(rows)}{shown}", ADDED))
    for row in kept[:most]:
        print_row(console, row, fields)
    if not dropped:
        return
    reasons = counts_text(Counter(reason for _, reason in dropped))
    shown = f" ({most} shown)" if most < len(dropped) else ""
    line = f"{len(dropped)} of {len(rows)}: {reasons}{shown}"
    print_field(console, "dropped", Text(line, REFUSED))
    for row, reason in dropped[:most]:
        print_field(console, "", Text(f"- {reason}", REFUSED))
        print_row(console, row, fields)


def counts_text(counts: Counter[str]) -> str:
    """Return counts by kind: `3 duplicate, 1 symbols`."""
    return ", ".join(f"{number} {kind}" for kind, number in counts.most_common())


def print_prompt(console: Console, prompt: Prompt, earlier: Prompt | None) -> None:
    """Print a prompt as it is sent; its beginning is not repeated if `earlier` has it too."""
    if isinstance(prompt, str):
        lines = prompt.split("\n")
        same = common(lines, earlier.split("\n")) if isinstance(earlier, str) else 0
        print_same(console, "prompt", same, "lines")
        text = "\n".join(lines[same:])
        print_field(console, "" if same else "prompt", Text(printable_lines(text)))
        return
    same = common(prompt, earlier) if isinstance(earlier, list) else 0
    print_same(console, "prompt", same, "messages")
    for message in prompt[same:]:
        print_field(console, message["role"], Text(printable_lines(message["content"])))


def common(items: list[Any], others: list[Any]) -> int:
    """Return how many items two lists have in common at their beginning."""
    pairs = zip(items, others, strict=False)
    return len(list(takewhile(lambda pair: pair[0] == pair[1], pairs)))


def print_same(console: Console, label: str, same: int, what: str) -> None:
    """Print that the beginning of a prompt is that of the prompt above."""
    if same:
        print_field(console, label, Text(f"(the same {same} {what} as above)", style=NOTE))


def print_row(console: Console, row: Row, fields: Sequence[str]) -> None:
    """Print the fields of a row that it has."""
    for name in fields:
        if (text := row.get(name)) not in (None, ""):
            is_hinted = name == "question" and "topic" in row
            hint = f"[{row['question_type']} | {row['topic']}] " if is_hinted else ""
            shown = Text.assemble((hint, NOTE), printable_lines(str(text)))
            label = LABELS[name] if len(fields) > 1 else ""
            print_field(console, label, shown)
