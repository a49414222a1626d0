"""Read a criterion's own pairs in place of those of a teacher."""

from pathlib import Path

import pandas as pd

from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.rows import read_rows, write_rows
from aligners.statistics.table_files import write_csv
from aligners.synthesis.own_pairs import own_pairs


def main(*, criterion: str, pairs: Path, questions: Path, table: Path) -> None:
    """Write the pairs and their questions; counts and dropped rows beside the pairs."""
    source = load_recipe(CriterionRecipe, criterion).pairs
    if source is None:
        raise ValueError(f"the criterion {criterion} has no pairs of its own")
    write_filtered(own_pairs(criterion, source), pairs)
    kept = [{key: row[key] for key in ("id", "criterion", "question")} for row in read_rows(pairs)]
    write_rows(questions, kept)
    write_csv(table, pd.DataFrame(kept, columns=["question"]))


if __name__ == "__main__":
    run(main)
