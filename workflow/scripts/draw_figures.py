"""Draw the figures of the report, as SVG files by section."""

from itertools import groupby, product
from pathlib import Path
from typing import Any

from aligners.core.program import run
from aligners.core.rows import read_json, read_rows
from aligners.report.comparisons import read_comparisons
from aligners.report.data import by_criterion
from aligners.report.figures.aligners import draw_losses
from aligners.report.figures.comparisons import (
    draw_categories,
    draw_rates,
    draw_thresholds,
    draw_truth,
)
from aligners.report.figures.data import draw_counts, draw_similarities
from aligners.report.figures.inspectors import draw_inspector
from aligners.report.figures.squad import draw_turns

SQUADS = ("squad", "squad-paper", "squad-conditioned")


def draw_comparisons(comparisons: list[dict[str, Any]], directory: Path) -> None:
    """Draw the rates against each reference, and by category the squads' with each backbone."""

    def opponents(comparison: dict[str, Any]) -> tuple[str, ...]:
        return tuple(comparison[key] for key in ("judge", "dataset", "llm", "reference"))

    for names, group in groupby(sorted(comparisons, key=opponents), key=opponents):
        against = list(group)
        draw_rates(against, directory.joinpath(*names, "rates.svg"))
        for backbone in {comparison["backbone"]: None for comparison in against}:
            squads = [
                comparison
                for comparison in against
                if comparison["backbone"] == backbone and comparison["system"] in SQUADS
            ]
            if any(comparison["by_category"] for comparison in squads):
                draw_categories(squads, directory.joinpath(*names, backbone, "categories.svg"))


def draw_traces(judged: list[Path], traced: list[str], directory: Path) -> None:
    """Draw the win rate by threshold of the squad of each backbone that was traced."""
    for answers, backbone in product(judged, traced):
        names = answers.parts[-3:]
        draw_thresholds(
            answers / backbone / "thresholds.csv",
            "{1}, {2}, {3}, judge {0}: the squad by its threshold".format(*names, backbone),
            directory.joinpath(*names, "base", backbone, "thresholds.svg"),
        )


def main(
    *,
    counts: list[Path],
    similarity: list[Path],
    test_scores: list[Path],
    aligners: list[Path],
    squads: list[Path],
    judged: list[Path],
    backbones: list[str],
    systems: list[str],
    references: list[str],
    traced: list[str],
    scorecard: list[Path],
    data_figures: Path,
    inspector_figures: Path,
    aligner_figures: Path,
    squad_figures: Path,
    comparison_figures: Path,
) -> None:
    """Draw each figure as `<kind>.svg` in a directory of its subject below its section's.

    Of the comparisons, directories `{judge}/{dataset}/{llm}` are given, and the names of what they
    hold: backbones, systems and references, and of which backbones thresholds were traced.
    """
    figures = data_figures, inspector_figures, aligner_figures, squad_figures, comparison_figures
    for directory in figures:
        directory.mkdir(parents=True, exist_ok=True)  # Also where there is nothing to draw.
    for criterion, steps in by_criterion(counts).items():
        draw_counts(steps, criterion, data_figures / criterion / "counts.svg")
    draw_similarities(similarity, data_figures)
    for path in test_scores:
        names = path.parts[-3:-1]
        draw_inspector(read_rows(path), ", ".join(names), inspector_figures.joinpath(*names))
    for path in aligners:
        names = path.parts[-3:-1]
        losses = read_json(path)["losses"]
        draw_losses(losses, ", ".join(names), aligner_figures.joinpath(*names, "losses.svg"))
    for path in squads:
        draw_turns(path, squad_figures.joinpath(*path.with_suffix("").parts[-4:], "turns.svg"))
    comparisons = read_comparisons(judged, backbones, systems, references)
    draw_comparisons(comparisons, comparison_figures)
    draw_traces(judged, traced, comparison_figures)
    for path in scorecard:
        draw_truth(path, comparison_figures / "closed_world")


if __name__ == "__main__":
    run(main)
