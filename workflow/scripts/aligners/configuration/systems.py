"""The systems that correct responses, except for the aligners of single criteria.

This is the only list of systems. Rules, programs, tables and the report read it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

CONDITIONED = "conditioned"
# What a system is compared with besides external aligners: the base LLM, and its finetuned partner.
LLM_REFERENCES = ("base", "finetuned")


@dataclass(frozen=True)
class System:
    """A way of correcting responses with several aligners, or with one for all criteria.

    Attributes:
        name: the name in paths under results/ and in the configuration's key `systems`.
        squad: inspectors choose which aligners act.
        gated: corrections that raise their inspector's score too little, or harm another
            criterion, are rejected. If False, no inspector rejects a correction.
        conditioned: the conditioned aligner acts for all criteria, instead of their own aligners.
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
    """Return whether a system or an aligner reads the principles of the criteria as text."""
    return name in SYSTEMS and SYSTEMS[name].conditioned


def aligners_of(systems: Sequence[str], criteria: Sequence[str]) -> list[str]:
    """Return the aligners to train: one for each criterion, and the conditioned one if needed."""
    return [*criteria, *([CONDITIONED] if any(map(is_conditioned, systems)) else [])]
