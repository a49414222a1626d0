"""AlpacaEval files: two lists of outputs to the same instructions, to be compared by a judge."""

from collections.abc import Mapping, Sequence

from aligners.core.rows import Row, seeded_order


def sample_inputs(inputs: Sequence[Row], count: int, seed: int) -> list[Row]:
    """Return a seeded sample of min(count, n) inputs in their own order.

    It depends on the rows' ids alone, so that every comparison of a data set has the same rows.
    """
    chosen = sorted(inputs, key=lambda row: seeded_order(row, seed))[:count]
    ids = {row["id"] for row in chosen}
    return [row for row in inputs if row["id"] in ids]


def alpaca_eval_rows(
    inputs: Sequence[Row], outputs: Mapping[str, str], generator: str, dataset: str
) -> list[Row]:
    """Return the list that AlpacaEval reads. `outputs` holds an answer for every input's id."""
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
    """Return the answer of each row by its id: the aligned response of a row that has one."""
    return {
        row["id"]: row["aligned_response" if "aligned_response" in row else "response"]
        for row in rows
    }
