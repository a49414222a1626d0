"""Have the teacher answer, criticise and correct one shard of a criterion's questions."""

from pathlib import Path

from aligners.configuration.criteria import load_principles
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Failure, Request
from aligners.core.counts import Sieve, write_sieve
from aligners.core.program import run
from aligners.core.rows import Row, read_rows
from aligners.llms.generator import Generator
from aligners.llms.shards import shard_rows
from aligners.synthesis.pairs import pair_row, pairs_decoding, pairs_prompt, parse_pair


def main(
    *,
    criterion: str,
    teacher: str,
    synthesis: str,
    questions: Path,
    shard: int,
    shards: int,
    seed: int,
    output: Path,
) -> None:
    """Write the pairs of one shard to `output`; beside it, completions without a pair and usage."""
    settings = load_recipe("synthesis", synthesis)["pairs"]
    principles = load_principles(criterion)
    generator = Generator(teacher, output)
    decoding = pairs_decoding(settings, seed)

    def request_for(row: Row) -> Request:
        return Request(
            row["id"], pairs_prompt(principles, row["question"], generator.recipe["chat"])
        )

    rows = shard_rows(read_rows(questions), shard, shards)
    sieve = Sieve()
    completions = generator.complete(rows, request_for, decoding, f"{criterion} pairs, {shard}")
    for row, result in completions:
        if isinstance(result, Failure):
            sieve.drop(pair_row(criterion, row, {}), result.cause)
            continue
        fields, reason = parse_pair(result)
        sieve.put(pair_row(criterion, row, fields or {"completion": result.text}), reason)
    write_sieve(sieve, output)
    generator.write_usage()


if __name__ == "__main__":
    run(main)
