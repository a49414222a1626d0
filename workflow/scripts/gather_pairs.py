"""Gather the pairs of a criterion: those of the teacher's shards, and imported ones."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from aligners.core.counts import Filtered, write_filtered
from aligners.core.program import run
from aligners.llms.shards import Shards
from aligners.synthesis.own_data import iterate_kinds, needs_pair, pair_of

FIELDS = ("id", "criterion", "question", "response", "critique", "aligned_response")


def main(*, questions: list[Path], output: Path, shards: tuple[Path, ...] = ()) -> None:
    """Write the pairs to `output`; counts, dropped rows and usage beside it.

    Args:
        questions: files of the criterion, in whose order the pairs are: the questions of the
            teacher, and the criterion's own data.
        output: file of rows. It is empty if the criterion has labelled rows alone.
        shards: pairs of the teacher, in the order of their numbers.
    """
    opened = Shards(shards, FIELDS)
    pairs = gathered(questions, opened)
    write_filtered(pairs, output, may_be_empty=not shards, replaced=opened.replaced)
    opened.write_usage(output)


def gathered(questions: list[Path], shards: Shards) -> Iterator[Filtered]:
    """Yield the pair of each question, of the teacher or imported, or the reason it has none.

    Raises:
        UserError: a shard does not have the rows of its questions, no more and no fewer.
    """
    for row in chain.from_iterable(map(iterate_kinds, questions)):
        if pair := pair_of(row):
            yield pair, None
        elif needs_pair(row):
            yield shards.take(row)
    shards.check_end()


if __name__ == "__main__":
    run(main)
