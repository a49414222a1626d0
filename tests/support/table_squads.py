"""Squads of aligners and inspectors that a test gives, such as tables, without a directory."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from aligners.configuration.systems import SQUAD, SQUAD_PAPER, System
from aligners.correction.gate import Gate, PaperGate
from aligners.correction.squad import (
    PAPER_BATCH_SIZE,
    PAPER_THRESHOLD,
    Aligners,
    Inspector,
    Result,
    SquadModels,
    order_by_mean_score,
    results_of,
    take_all_turns,
)
from aligners.squads.models import Familiar
from aligners.squads.record import EncoderSettings, Member, SquadRecord
from aligners.squads.squad import Squad


class TableInspector(Inspector, Protocol):
    """An inspector with a threshold.

    Attributes:
        threshold: log odds of "aligned" at or above which a response needs no correction.
    """

    threshold: float


def make_record(criteria: Sequence[str], system: System, least_rise: float) -> SquadRecord:
    """Return the record of a squad that has no files."""
    members = [
        Member(
            criterion=name, languages=[], principles="", threshold=0.0, inspector="i", aligner="a"
        )
        for name in criteria
    ]
    return SquadRecord(
        format=1,
        name="tables",
        system=system.name,
        backbone="b",
        inspector="i",
        members=members,
        least_rise=least_rise,
        batch_tokens=1,
        encoder=EncoderSettings(max_tokens=1, batch_size=1),
        held_out=None,
        versions={},
        files={},
    )


def make_table_squad(
    aligners: Aligners,
    inspectors: Mapping[str, TableInspector],
    least_rise: float,
    familiar: Familiar = lambda questions: [True] * len(questions),
    system: System = SQUAD,
) -> Squad:
    """Return a squad; the thresholds are those of the inspectors, or the paper's."""
    thresholds = {
        name: inspectors[name].threshold if system.gated else PAPER_THRESHOLD for name in aligners
    }
    gate = Gate(least_rise) if system.gated else PaperGate()
    models = SquadModels(aligners, inspectors, thresholds, gate)
    return Squad(make_record(list(aligners), system, least_rise), models, familiar)


def align_with_squad(
    questions: Sequence[str],
    responses: Sequence[str],
    aligners: Aligners,
    inspectors: Mapping[str, TableInspector],
    least_rise: float,
    unfamiliar: Sequence[str] = (),
    ids: Sequence[str] | None = None,
) -> list[Result]:
    """Return the results of a squad; `unfamiliar` are questions."""
    squad = make_table_squad(
        aligners, inspectors, least_rise, lambda asked: [text not in unfamiliar for text in asked]
    )
    return squad.align(questions, responses, ids)


def align_with_squad_paper(
    questions: Sequence[str],
    responses: Sequence[str],
    aligners: Aligners,
    inspectors: Mapping[str, TableInspector],
    ids: Sequence[str] | None = None,
    batch_size: int = PAPER_BATCH_SIZE,
) -> list[Result]:
    """Return the results of the paper's squad, in batches of a size."""
    squad = make_table_squad(aligners, inspectors, 0.0, system=SQUAD_PAPER)
    if batch_size == PAPER_BATCH_SIZE:
        return squad.align(questions, responses, ids)
    states = squad.begin(questions, responses, ids)
    order_by_mean_score(squad.models, states, batch_size)
    take_all_turns(squad.models, states, squad.next_turn)
    return results_of(states)
