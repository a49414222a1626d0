"""Drop the pairs of a criterion that are unsuitable for training, each with a reason."""

from pathlib import Path

from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import Sieve, write_sieve
from aligners.core.program import run
from aligners.core.progress import track
from aligners.core.rows import by_id, read_rows
from aligners.synthesis.filters import pair_reason


def main(*, pairs: Path, split: Path, synthesis: str, output: Path) -> None:
    """Write the suitable pairs to `output`; counts and dropped rows beside it."""
    language = load_recipe(SynthesisRecipe, synthesis).cleaning.language
    sides = by_id(read_rows(split))
    sieve = Sieve()
    rows = read_rows(pairs)
    for row in track(rows, len(rows), "filtering"):
        reason = pair_reason(row, language) if row["id"] in sides else "near_several_splits"
        sieve.put(row, reason)
    write_sieve(sieve, output)


if __name__ == "__main__":
    run(main)
