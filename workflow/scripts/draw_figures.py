"""Draw the figures of the report, as SVG files by section."""

from itertools import groupby
from pathlib import Path
from typing import Any

from aligners.program import run
from aligners.recipes import load_recipe
from aligners.report.aligner_figures import draw_losses
from aligners.report.comparison_figures import (
    draw_categories,
    draw_rates,
    draw_thresholds,
    draw_truth,
)
from aligners.report.data_figures import draw_counts, draw_similarity
from aligners.report.data_section import by_criterion
from aligners.report.inspector_figures import draw_inspector
from aligners.report.squad_figures import draw_turns
from aligners.rows import read_json, read_rows

SQUADS = ("squad", "squad-paper", "squad-conditioned")


def draw_comparisons(comparisons: list[Path], directory: Path) -> None:
    """Draw the rates against each reference, and by category the squads' with each backbone."""

    def opponents(comparison: dict[str, Any]) -> tuple[str, ...]:
        return tuple(comparison[key] for key in ("judge", "dataset", "llm", "reference"))

    read = sorted(map(read_json, comparisons), key=opponents)
    for names, group in groupby(read, key=opponents):
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


def main(
    *,
    counts: list[Path],
    similarity: list[Path],
    test_scores: list[Path],
    aligners: list[Path],
    squads: list[Path],
    comparisons: list[Path],
    thresholds: list[Path],
    scorecard: list[Path],
    data_figures: Path,
    inspector_figures: Path,
    aligner_figures: Path,
    squad_figures: Path,
    comparison_figures: Path,
) -> None:
    """Draw each figure as `<kind>.svg` in a directory of its subject below its section's."""
    for criterion, steps in by_criterion(counts).items():
        draw_counts(steps, criterion, data_figures / criterion / "counts.svg")
    for path in similarity:
        criterion = path.parent.name
        near_copy = load_recipe("criteria", criterion)["near_copy_similarity"]
        draw_similarity(path, criterion, near_copy, data_figures / criterion / "similarity.svg")
    for path in test_scores:
        inspector, criterion = path.parts[-3:-1]
        directory = inspector_figures / inspector / criterion
        draw_inspector(read_rows(path), f"{inspector}, {criterion}", directory)
    for path in aligners:
        backbone, aligner = path.parts[-3:-1]
        losses = read_json(path)["losses"]
        draw_losses(
            losses, f"{backbone}, {aligner}", aligner_figures / backbone / aligner / "losses.svg"
        )
    for path in squads:
        draw_turns(path, squad_figures.joinpath(*path.with_suffix("").parts[-4:], "turns.svg"))
    draw_comparisons(comparisons, comparison_figures)
    for path in thresholds:
        judge, dataset, llm, backbone = path.parts[-5:-1]
        draw_thresholds(
            path,
            f"{dataset}, {llm}, {backbone}: the squad against the base answers, by threshold",
            comparison_figures / judge / dataset / llm / "base" / backbone / "thresholds.svg",
        )
    for path in scorecard:
        draw_truth(path, comparison_figures / "closed_world")


if __name__ == "__main__":
    run(main)
