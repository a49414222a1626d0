"""Write the report: one page that needs no other file."""

import json
from pathlib import Path

from aligners.core.program import run
from aligners.core.rows import atomic_path
from aligners.report.comparisons import comparisons_section, read_comparisons
from aligners.report.costs import costs_section
from aligners.report.data import data_section
from aligners.report.figures.files import figures_in
from aligners.report.models import inspector_section, model_section
from aligners.report.page import render_page
from aligners.report.provenance import provenance_section, sizes, used_recipes
from aligners.report.squad import squad_section


def main(
    *,
    configuration: str,
    counts: list[Path],
    input_counts: list[Path],
    pairs: list[Path],
    sets: list[Path],
    inspectors: list[Path],
    aligners: list[Path],
    squads: list[Path],
    judged: list[Path],
    backbones: list[str],
    systems: list[str],
    references: list[str],
    scorecard: list[Path],
    listings: list[Path],
    figures: list[Path],
    logs: Path,
    results: Path,
    template: Path,
    output: Path,
) -> None:
    """Gather what each section shows, and write the page."""
    config = json.loads(configuration)
    first_judge = judged[0].parent.parent if judged else None
    kinds = ("judges", "datasets", "llms", "backbones", "inspectors")
    names = [*systems, *references, *(name for kind in kinds for name in config[kind])]
    trained = {"inspectors": inspector_section(inspectors), "aligners": model_section(aligners)}
    sections = {
        "config": config,
        "recipes": used_recipes(config),
        "sizes": sizes(config),
        "data": data_section(counts, input_counts, pairs, sets, config["seed"]),
        **trained,
        "squads": squad_section(squads, first_judge, config["seed"]),
        "comparisons": comparisons_section(
            read_comparisons(judged, backbones, systems, references),
            judged,
            next(iter(scorecard), None),
        ),
        "costs": costs_section(logs, results),
        "provenance": provenance_section(
            config, [model for models in trained.values() for model in models], listings
        ),
        "figures": {directory.name: figures_in(directory, names) for directory in figures},
    }
    with atomic_path(output) as partial:
        partial.write_text(render_page(template, sections), encoding="utf-8")


if __name__ == "__main__":
    run(main)
