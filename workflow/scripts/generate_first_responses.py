"""Generate an LLM's first responses to its questions in one shard of a criterion's questions."""

from collections import Counter
from pathlib import Path

from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.evaluation.baselines import generate_responses
from aligners.llms.generator import Generator
from aligners.llms.shards import shard_rows
from aligners.synthesis.first_responses import responding_llm
from aligners.synthesis.own_data import questions_to_pair


def main(
    *,
    llm: str,
    responses_by: list[str],
    questions: list[Path],
    shard: int,
    shards: int,
    seed: int,
    output: Path,
) -> None:
    """Write the LLM's responses to `output`; counts, failed rows and usage beside it.

    Args:
        llm: responds to its part of the questions.
        responses_by: all LLMs that share the questions.
        questions: of the teacher, and the criterion's own data; those with a response get no other.
        shard, shards: as for the pairs.
        seed: of the completions.
        output: file of rows.
    """
    generator = Generator(llm, output)
    rows = shard_rows(questions_to_pair(questions), shard, shards)
    unanswered = (row for row in rows if "response" not in row)
    own = [row for row in unanswered if responding_llm(row, responses_by) == llm]
    removed = Counter[str]()
    description = f"first responses of {llm}, {shard}"
    responses = generate_responses(generator, own, seed, description, removed)
    named = (({**row, "response_by": llm}, reason) for row, reason in responses)
    write_filtered(named, output, len(own), may_be_empty=True, replaced=removed)
    generator.write_usage()


if __name__ == "__main__":
    run(main)
