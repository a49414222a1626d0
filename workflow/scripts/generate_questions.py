"""Generate questions with the teacher for the topics of a criterion."""

from collections import Counter
from pathlib import Path

import pandas as pd

from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.rows import read_rows
from aligners.llms.generator import Generator
from aligners.statistics.table_files import write_csv
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
    removed = Counter[str]()
    filtered = generate_questions(task, generator, rows, questions, removed)
    write_filtered(filtered, output, replaced=removed)
    generator.write_usage()
    columns = ["question", "topic", "question_type"]
    write_csv(table, pd.DataFrame(read_rows(output), columns=columns))


if __name__ == "__main__":
    run(main)
