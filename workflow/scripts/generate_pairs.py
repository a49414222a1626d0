"""Generate pairs with the teacher for one shard of a criterion's questions."""

from collections import Counter
from pathlib import Path

from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.llms.generator import Generator
from aligners.llms.shards import shard_rows
from aligners.synthesis.first_responses import add_first_responses
from aligners.synthesis.own_data import questions_to_pair
from aligners.synthesis.pairs import generate_pairs
from aligners.synthesis.task import load_task


def main(
    *,
    criterion: str,
    teacher: str,
    synthesis: str,
    questions: list[Path],
    shard: int,
    shards: int,
    seed: int,
    output: Path,
    responses: tuple[Path, ...] = (),
) -> None:
    """Write the pairs of one shard to `output`; counts, dropped completions and usage beside it.

    Args:
        criterion: of the pairs.
        teacher: writes the critiques and corrections, and by default the responses.
        synthesis: recipe of the prompts' decoding.
        questions: of the teacher, and the criterion's own data; a row may have a response.
        shard, shards: the part of the questions.
        seed: of the completions.
        output: file of rows.
        responses: of each LLM to its questions; by default, the teacher writes them.
    """
    task = load_task(criterion, teacher, synthesis, seed)
    generator = Generator(teacher, output)
    rows = shard_rows(questions_to_pair(questions), shard, shards)
    asked = list(add_first_responses(rows, responses))
    removed = Counter[str]()
    pairs = generate_pairs(task, generator, asked, f"{criterion} pairs, {shard}", removed)
    write_filtered(pairs, output, len(rows), may_be_empty=True, replaced=removed)
    generator.write_usage()


if __name__ == "__main__":
    run(main)
