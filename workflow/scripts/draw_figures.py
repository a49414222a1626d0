"""Draw the figures of the report as SVG files, in a directory for each section."""

from aligners.configuration import results
from aligners.configuration.experiment import Experiment
from aligners.configuration.kinds.config import Config
from aligners.core.program import run
from aligners.report.figures.aligners import draw_aligners
from aligners.report.figures.comparisons import draw_comparisons
from aligners.report.figures.data import draw_data
from aligners.report.figures.inspectors import draw_inspectors
from aligners.report.figures.squad import draw_squads

SECTIONS = {
    "data": draw_data,
    "inspectors": draw_inspectors,
    "aligners": draw_aligners,
    "squad": draw_squads,
    "comparisons": draw_comparisons,
}


def main(*, configuration: str) -> None:
    """Draw each figure as `<section>/<subject>/<kind>.svg`.

    Args:
        configuration: the validated configuration as JSON.
    """
    experiment = Experiment(Config.model_validate_json(configuration))
    for section, draw in SECTIONS.items():
        directory = results.FIGURES.path(section=section)
        directory.mkdir(parents=True, exist_ok=True)  # The rule declares it, even if empty.
        draw(experiment, directory)


if __name__ == "__main__":
    run(main)
