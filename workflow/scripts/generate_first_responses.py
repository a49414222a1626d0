"""Generate an LLM's first responses to its questions in one shard of a criterion's questions."""

from collections import Counter
from pathlib import Path

from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.rows import read_rows
from aligners.evaluation.baselines import generate_responses
from aligners.llms.generator import Generator
from aligners.llms.shards import shard_rows
from aligners.synthesis.first_responses import responding_llm


def main(
    *,
    llm: str,
    responses_by: list[str],
    questions: Path,
    shard: int,
    shards: int,
    seed: int,
    output: Path,
) -> None:
    """Write the LLM's responses to `output`; counts, failed rows and usage beside it.

    Args:
        llm: responds to its part of the questions.
        responses_by: all LLMs that share the questions.
        questions: of the criterion.
        shard, shards: as for the pairs.
        seed: of the completions.
        output: file of rows.
    """
    generator = Generator(llm, output)
    rows = shard_rows(read_rows(questions, needs=("id", "question")), shard, shards)
    own = [row for row in rows if responding_llm(row, responses_by) == llm]
    removed = Counter[str]()
    description = f"first responses of {llm}, {shard}"
    responses = generate_responses(generator, own, seed, description, removed)
    named = (({**row, "response_by": llm}, reason) for row, reason in responses)
    write_filtered(named, output, len(own), may_be_empty=True, replaced=removed)
    generator.write_usage()


if __name__ == "__main__":
    run(main)
