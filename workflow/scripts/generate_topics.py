"""Generate topics with the teacher for the question types of a criterion, in rounds."""

from collections import Counter
from pathlib import Path

from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.llms.generator import Generator
from aligners.synthesis.task import load_task
from aligners.synthesis.topics import generate_topics


def main(
    *, criterion: str, teacher: str, synthesis: str, rounds: int, seed: int, output: Path
) -> None:
    """Write the topics of all rounds to `output`; counts, dropped lines and usage beside it."""
    task = load_task(criterion, teacher, synthesis, seed)
    generator = Generator(teacher, output)
    removed = Counter[str]()
    topics = generate_topics(task, generator, rounds, removed)
    write_filtered(topics, output, replaced=removed)
    generator.write_usage()


if __name__ == "__main__":
    run(main)
