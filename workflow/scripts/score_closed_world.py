"""Score the results of a run in the closed world against the truth."""

from pathlib import Path

from aligners.closed_world.scorecard import ScoredResults, load_truth, scorecard
from aligners.core.program import run
from aligners.core.rows import write_json


def main(*, scored: ScoredResults, teacher: str, seed: int, output: Path) -> None:
    """Write the scorecard of the named results to `output`."""
    write_json(output, scorecard(scored, load_truth(teacher), seed))


if __name__ == "__main__":
    run(main)
