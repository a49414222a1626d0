"""Have the teacher answer, criticise and correct one shard of a criterion's questions."""

from pathlib import Path

from aligners.counts import Sieve, write_sieve
from aligners.criteria import load_principles
from aligners.engines import Decoding, Request
from aligners.generation import Generator
from aligners.pairs import STOP, pair_row, pairs_prompt, parse_pair
from aligners.program import run
from aligners.recipes import load_recipe
from aligners.rows import read_rows, shard_rows


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
    """Write the pairs of one shard to `output`; completions without a pair go beside it."""
    settings = load_recipe("synthesis", synthesis)["pairs"]
    principles = load_principles(criterion)
    generator = Generator(teacher, output)
    rows = shard_rows(read_rows(questions), shard, shards)
    chat = generator.recipe["chat"]
    requests = [Request(row["id"], pairs_prompt(principles, row["question"], chat)) for row in rows]
    decoding = Decoding(
        max_new_tokens=settings["max_new_tokens"],
        temperature=settings["temperature"],
        repetition_penalty=settings["repetition_penalty"],
        stop=(STOP,),
        seed=seed,
    )
    completions = generator.complete(requests, decoding, f"{criterion} pairs, shard {shard}")
    sieve = Sieve()
    for row in rows:
        completion = completions[row["id"]]
        fields, reason = parse_pair(completion)
        fields = fields or {"completion": completion.text}
        sieve.put(pair_row(criterion, row, fields), reason)
    write_sieve(sieve, output)


if __name__ == "__main__":
    run(main)
