"""The systems that correct responses besides the aligner of one criterion, and what each needs.

They are declared here and nowhere else: rules, programs, tables and the report ask this module.
"""

from collections.abc import Sequence
from dataclasses import dataclass

CONDITIONED = "conditioned"


@dataclass(frozen=True)
class System:
    """A way of correcting responses with several aligners, or with one for all criteria.

    Attributes:
        name: in paths under results/ and in `systems` of a configuration.
        squad: inspectors choose which aligners act.
        gated: a correction has to raise its inspector's score; else every correction is kept.
        conditioned: the conditioned aligner acts for all criteria, in place of their own.
    """

    name: str
    squad: bool = True
    gated: bool = True
    conditioned: bool = False


SQUAD = System("squad")
SQUAD_PAPER = System("squad-paper", gated=False)
SYSTEMS = {
    system.name: system
    for system in (
        SQUAD,
        SQUAD_PAPER,
        System(CONDITIONED, squad=False, gated=False, conditioned=True),
        System("squad-conditioned", conditioned=True),
    )
}
SQUADS = [name for name, system in SYSTEMS.items() if system.squad]


def is_conditioned(name: str) -> bool:
    """Tell whether a system or an aligner reads the principles of the criteria as text."""
    return name in SYSTEMS and SYSTEMS[name].conditioned


def aligners_of(systems: Sequence[str], criteria: Sequence[str]) -> list[str]:
    """Return the aligners that are trained: one for each criterion, and the conditioned one."""
    return [*criteria, *([CONDITIONED] if any(map(is_conditioned, systems)) else [])]
