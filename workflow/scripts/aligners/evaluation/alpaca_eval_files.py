"""AlpacaEval files: two lists of outputs to the same questions, which a judge compares."""

from collections.abc import Mapping, Sequence

from aligners.core.rows import Row, seeded_order


def sample_inputs(inputs: Sequence[Row], count: int, seed: int) -> list[Row]:
    """Return a seeded sample of min(count, n) test questions, in their original order.

    The sample depends only on the ids: all comparisons on a data set use the same rows.
    """
    chosen = sorted(inputs, key=lambda row: seeded_order(row, seed))[:count]
    ids = {row["id"] for row in chosen}
    return [row for row in inputs if row["id"] in ids]


def alpaca_eval_rows(
    inputs: Sequence[Row], outputs: Mapping[str, str], generator: str, dataset: str
) -> list[Row]:
    """Return the list that AlpacaEval reads; `outputs` has a text for the id of every question."""
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
    """Return the final text of each row by id: the correction if there is one, or the response."""
    return {
        row["id"]: row["aligned_response" if "aligned_response" in row else "response"]
        for row in rows
    }
