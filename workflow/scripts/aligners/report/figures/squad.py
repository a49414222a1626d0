"""Figures of the squads: whose aligner acted, and whether its correction was kept."""

from pathlib import Path

from aligners.core.rows import read_rows
from aligners.report.figures.svg import BLUE, GREY, VERMILION, draw_bars, new_figure, save_svg
from aligners.report.squad import turns_by_criterion


def draw_turns(aligned: Path, path: Path) -> None:
    """Draw on how many answers each aligner acted, and whether its correction was kept.

    Args:
        aligned: `{dataset}/{llm}/{backbone}/{system}.jsonl` of a squad.
        path: of the SVG file.
    """
    turns = turns_by_criterion(read_rows(aligned))
    figure, axes = new_figure(0.9 + 0.3 * len(turns))
    parts = {
        "kept": (BLUE, [turn["kept"] for turn in turns]),
        "refused": (VERMILION, [turn["refused"] for turn in turns]),
        "did not act": (GREY, [turn["idle"] for turn in turns]),
    }
    draw_bars(axes, [turn["criterion"] for turn in turns], parts, "answers")
    told = "; ".join(
        f"{turn['criterion']}: {turn['kept']} kept, {turn['refused']} refused, "
        f"{turn['idle']} without a turn"
        for turn in turns
    )
    dataset, llm, backbone = aligned.parts[-4:-1]
    title = f"{aligned.stem} on {dataset}, {llm}, {backbone}: who acted"
    save_svg(figure, path, title, told or "No aligner acted.")
