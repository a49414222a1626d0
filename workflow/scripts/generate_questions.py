"""Generate questions with the teacher for the topics of a criterion."""

from pathlib import Path

import pandas as pd

from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.rows import atomic_path, read_rows
from aligners.llms.generator import Generator
from aligners.synthesis.questions import generate_questions
from aligners.synthesis.task import load_task


def main(
    *,
    criterion: str,
    teacher: str,
    synthesis: str,
    topics: Path,
    questions: int,
    seed: int,
    output: Path,
    table: Path,
) -> None:
    """Write questions to `output` and `table`; counts, dropped lines and usage beside `output`."""
    task = load_task(criterion, teacher, synthesis, seed)
    generator = Generator(teacher, output)
    rows = read_rows(topics, needs=("question_type", "topic"))
    write_filtered(generate_questions(task, generator, rows, questions), output)
    generator.write_usage()
    with atomic_path(table) as partial:
        columns = ["question", "topic", "question_type"]
        pd.DataFrame(read_rows(output), columns=columns).to_csv(partial, index=False)


if __name__ == "__main__":
    run(main)
