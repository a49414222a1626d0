"""Aligners: small models that score and correct the responses of any LLM without changing it.

The method is that of "Aligners: Decoupling LLMs and Alignment" (arXiv 2403.04224). `Squad` loads
trained models and corrects responses with them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aligners.squads.correction import Correction
    from aligners.squads.squad import Squad

__version__ = "0.1.0"
# Programs import modules by their full names.
AFFECTS_RESULTS = False
__all__ = ["Correction", "Squad"]


def __getattr__(name: str) -> Any:
    """Import the public classes when they are first used, because torch takes seconds."""
    if name == "Squad":
        from aligners.squads.squad import Squad

        return Squad
    if name == "Correction":
        from aligners.squads.correction import Correction

        return Correction
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
