"""Score everything that was made in the closed world against the truth."""

from collections import defaultdict
from pathlib import Path
from typing import Any

from aligners.closed_world.scorecard import filter_scores, known_and_unknown, trained_items
from aligners.closed_world.truth import Truth
from aligners.configuration.recipes import load_recipe
from aligners.core.errors import UserError
from aligners.core.program import run
from aligners.core.rows import Row, read_json, read_rows, write_json
from aligners.evaluation.alpaca_eval_files import final_answers


def load_truth(teacher: str) -> Truth:
    """Return the truth of the world that the teacher lives in.

    Raises:
        UserError: the teacher is not of the closed world.
    """
    world = load_recipe("llms", teacher).get("world")
    if not world:
        raise UserError(
            f"teacher {teacher}: not of the closed world, so there is no truth to score by; "
            "the scorecard is for config/demo.yaml"
        )
    return Truth.from_file(world)


def read_all(paths: list[Path]) -> list[Row]:
    """Return the rows of several files."""
    return [row for path in paths for row in read_rows(path)]


def dropped_beside(paths: list[Path]) -> list[Path]:
    """Return the files of dropped rows beside the files of kept ones."""
    return [path.with_suffix(".dropped.jsonl") for path in paths]


def inspector_scores(paths: list[Path]) -> dict[str, Any]:
    """Return accuracy, ROC-AUC, calibration error and n of each criterion's inspector."""
    keys = ("accuracy", "roc_auc", "ece", "n")
    return {
        path.parent.name: {key: metrics[key] for key in keys}
        for path, metrics in ((path, read_json(path)) for path in paths)
    }


def main(
    *,
    criteria: list[str],
    teacher: str,
    seed: int,
    pairs: list[Path],
    filtered: list[Path],
    splits: list[Path],
    inspectors: list[Path],
    responses: list[Path],
    aligned: list[Path],
    external: list[Path],
    output: Path,
) -> None:
    """Write the scorecard: inspectors, filters, and the systems by data set and base LLM.

    The data set `all` pools the others.
    """
    truth = load_truth(teacher)
    known = trained_items(truth, read_all(splits))
    initial: dict[tuple[str, str], list[Row]] = defaultdict(list)
    systems: dict[tuple[str, str], dict[str, dict[str, str]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    answers = {(path.parent.name, path.stem): read_rows(path) for path in responses}
    corrected = [(path.parts[-4], path.parts[-3], path.stem, path) for path in aligned]
    corrected += [(path.parts[-3], path.parts[-2], "external", path) for path in external]
    for (dataset, llm), rows in answers.items():
        partner = load_recipe("llms", llm).get("finetuned")
        if not partner:
            continue
        for pool in (dataset, "all"):
            initial[pool, llm] += rows
            systems[pool, llm]["finetuned"] |= final_answers(answers[dataset, partner])
    for dataset, llm, name, path in corrected:
        for pool in (dataset, "all"):
            systems[pool, llm][name] |= final_answers(read_rows(path))
    scores: dict[str, dict[str, Any]] = defaultdict(dict)
    for (pool, llm), rows in initial.items():
        scores[pool][llm] = known_and_unknown(truth, criteria, known, rows, systems[pool, llm])
    dropped = read_all(dropped_beside(pairs) + dropped_beside(filtered))
    write_json(
        output,
        {
            "inspectors": inspector_scores(inspectors),
            "filters": filter_scores(truth, read_all(filtered), dropped, seed),
            "datasets": scores,
        },
    )


if __name__ == "__main__":
    run(main)
