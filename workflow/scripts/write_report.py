"""Write the report: one page that loads no other file."""

from pathlib import Path

from aligners.configuration.experiment import Experiment
from aligners.configuration.kinds.config import Config
from aligners.core.program import run
from aligners.core.rows import atomic_path
from aligners.report.comparisons import comparisons_section
from aligners.report.costs import costs_section
from aligners.report.data import data_section
from aligners.report.figures.files import figures_section
from aligners.report.models import (
    aligners_section,
    inspectors_over_seeds,
    inspectors_section,
)
from aligners.report.page import render_page
from aligners.report.provenance import provenance_section, settings, used_recipes
from aligners.report.squad import squads_section


def main(*, configuration: str, logs: Path, output: Path) -> None:
    """Collect the contents of each section, and write the page.

    Args:
        configuration: the validated configuration as JSON.
        logs: directory of the benchmark files, which may be missing.
        output: path of the page.
    """
    config = Config.model_validate_json(configuration)
    experiment = Experiment(config)
    inspectors, aligners = inspectors_section(experiment), aligners_section(experiment)
    page = render_page(
        config=config.model_dump(mode="json"),
        recipes=used_recipes(config),
        settings=settings(config),
        data=data_section(experiment),
        inspectors=inspectors,
        inspectors_over_seeds=inspectors_over_seeds(inspectors),
        aligners=aligners,
        squads=squads_section(experiment),
        comparisons=comparisons_section(experiment),
        costs=costs_section(logs),
        provenance=provenance_section(config, [*inspectors, *aligners]),
        figures=figures_section(experiment),
    )
    with atomic_path(output) as partial:
        partial.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    run(main)
