"""Join the imports of a criterion: one row of each question, and the labelled rows."""

from pathlib import Path

from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.rows import iterate_rows
from aligners.synthesis.own_data import join_imports


def main(*, criterion: str, imports: list[Path], questions: tuple[Path, ...], output: Path) -> None:
    """Write the rows of a criterion's imports to `output`; counts and dropped rows beside it.

    `questions` are those that the teacher writes for the criterion, if it does: one file or none.
    """
    asked = {row["id"] for path in questions for row in iterate_rows(path, needs=("id",))}
    write_filtered(join_imports(criterion, imports, asked), output)


if __name__ == "__main__":
    run(main)
