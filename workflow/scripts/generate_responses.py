"""Generate an LLM's responses to one shard of a data set's questions."""

from collections import Counter
from pathlib import Path

from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.rows import read_rows
from aligners.evaluation.baselines import generate_responses
from aligners.llms.generator import Generator
from aligners.llms.shards import shard_rows


def main(*, llm: str, inputs: Path, shard: int, shards: int, seed: int, output: Path) -> None:
    """Write the responses of one shard to `output`; counts, failed rows and usage beside it."""
    generator = Generator(llm, output)
    rows = shard_rows(read_rows(inputs, needs=("id", "question")), shard, shards)
    removed = Counter[str]()
    responses = generate_responses(generator, rows, seed, f"responses of {llm}, {shard}", removed)
    write_filtered(responses, output, len(rows), may_be_empty=True, replaced=removed)
    generator.write_usage()


if __name__ == "__main__":
    run(main)
