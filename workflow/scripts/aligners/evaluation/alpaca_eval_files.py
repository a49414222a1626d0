"""AlpacaEval files: two lists of outputs for the same questions, which a judge compares."""

from collections.abc import Mapping, Sequence

from aligners.core.rows import Row, seeded_order


def sample_inputs(inputs: Sequence[Row], count: int, seed: int) -> list[Row]:
    """Return a seeded sample of at most `count` test questions, in their original order.

    The sample depends only on ids and seed, so all comparisons on a data set use the same rows.
    """
    sample = sorted(inputs, key=lambda row: seeded_order(row, seed))[:count]
    ids = {row["id"] for row in sample}
    return [row for row in inputs if row["id"] in ids]


def alpaca_eval_rows(
    inputs: Sequence[Row], outputs: Mapping[str, str], generator: str, dataset: str
) -> list[Row]:
    """Return the list that AlpacaEval reads. `outputs` has a text for the id of each question."""
    return [
        {
            "instruction": row["question"],
            "output": outputs[row["id"]],
            "generator": generator,
            "dataset": dataset,
            "datasplit": "test",
        }
        for row in inputs
    ]


def final_answers(rows: Sequence[Row]) -> dict[str, str]:
    """Return the correction of each row, or its response if it has no correction, by row id."""
    return {
        row["id"]: row["aligned_response" if "aligned_response" in row else "response"]
        for row in rows
    }
