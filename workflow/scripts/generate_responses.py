"""Have an LLM answer one shard of a data set's questions."""

from pathlib import Path

from aligners.core.completions import Failure, Request
from aligners.core.counts import Sieve, write_sieve
from aligners.core.program import run
from aligners.core.rows import Row, read_rows
from aligners.evaluation.baselines import answer_decoding, answer_prompt
from aligners.llms.generator import Generator
from aligners.llms.shards import shard_rows


def main(*, llm: str, inputs: Path, shard: int, shards: int, seed: int, output: Path) -> None:
    """Write the full answers of one shard to `output`; an empty answer is kept as it is.

    Rows without an answer, if the LLM's recipe allows any, go beside it, and what the answers took.
    """
    generator = Generator(llm, output)
    recipe = generator.recipe
    decoding = answer_decoding(recipe, seed)

    def request_for(row: Row) -> Request:
        return Request(row["id"], answer_prompt(recipe, row["question"]))

    rows = shard_rows(read_rows(inputs), shard, shards)
    sieve = Sieve()
    completions = generator.complete(rows, request_for, decoding, f"answers of {llm}, {shard}")
    for row, result in completions:
        answer = {"id": row["id"], "question": row["question"]}
        if isinstance(result, Failure):
            sieve.drop(answer, result.cause)
        else:
            sieve.keep({**answer, "response": result.text.strip()})
    write_sieve(sieve, output)
    generator.write_usage()


if __name__ == "__main__":
    run(main)
