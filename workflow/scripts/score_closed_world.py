"""Score the results of a run in the closed world against the truth."""

from pathlib import Path

from aligners.closed_world.responses import inspectors_on_responses
from aligners.closed_world.scorecard import load_truth, scorecard
from aligners.closed_world.seeds import scores_over_seeds
from aligners.configuration.scored_results import ScoredResults
from aligners.core.program import run
from aligners.core.rows import write_json
from aligners.inspectors.calibration import calibration_errors


def main(*, scored: ScoredResults, teacher: str, seeds: list[int], output: Path) -> None:
    """Write the scorecard of the named results to `output`.

    Args:
        scored: the results of the first training seed.
        teacher: LLM that wrote the training data.
        seeds: all training seeds; the first is the seed of the data. If there are several, the
            scorecard also has the spread over them.
        output: JSON file.
    """
    truth = load_truth(teacher, scored.criteria)
    scores = scorecard(scored, truth, seeds[0])
    scores["responses"] = inspectors_on_responses(scored, truth, calibration_errors)
    if len(seeds) > 1:
        scores["seeds"] = scores_over_seeds(scored, truth, seeds, calibration_errors)
    write_json(output, scores)


if __name__ == "__main__":
    run(main)
