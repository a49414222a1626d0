"""Figures of the squads: which aligners acted, and which corrections were kept."""

from collections.abc import Mapping
from pathlib import Path

from aligners.configuration import results
from aligners.configuration.experiment import Experiment
from aligners.judging.thresholds import read_squad
from aligners.report.figures.svg import BLUE, GREY, VERMILION, draw_bars, new_figure, save_svg
from aligners.report.squad import turns_by_criterion


def draw_squads(experiment: Experiment, directory: Path) -> None:
    """Draw the turns of all squads."""
    for names in results.ALIGNED.combinations({**experiment.names, "system": experiment.squads}):
        draw_turns(names, directory.joinpath(*names.values(), "turns.svg"))


def draw_turns(names: Mapping[str, str], path: Path) -> None:
    """Draw for each aligner how many responses it acted on, and how many corrections were kept.

    Args:
        names: the names in the path of the squad's file (results.ALIGNED).
        path: path of the SVG file.
    """
    turns = turns_by_criterion(read_squad(results.ALIGNED.path(**names)))
    figure, axes = new_figure(0.9 + 0.3 * len(turns))
    parts = {
        "kept": (BLUE, [turn["kept"] for turn in turns]),
        "rejected": (VERMILION, [turn["rejected"] for turn in turns]),
        "did not act": (GREY, [turn["idle"] for turn in turns]),
    }
    draw_bars(axes, [turn["criterion"] for turn in turns], parts, "responses")
    description = "; ".join(
        f"{turn['criterion']}: {turn['kept']} kept, {turn['rejected']} rejected, "
        f"{turn['idle']} without a turn"
        for turn in turns
    )
    title = "{system} on {dataset}, {llm}, {backbone}: turns of each aligner".format_map(names)
    save_svg(figure, path, title, description or "No aligner had a turn.")
