"""Shards: a long stage runs as several jobs, and their outputs are gathered in one file."""

import resource
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from aligners.core.counts import Counts, Filtered, write_filtered
from aligners.core.errors import UserError
from aligners.core.rows import Row, iterate_rows, number_of_rows, read_json, write_json
from aligners.llms.usage import UsageSummary, add_usage

# Inputs, outputs, logs and libraries.
OTHER_OPEN_FILES = 64


def shard_of(row: Row, shards: int) -> int:
    """Return the shard of a row, which depends only on its id.

    Raises:
        UserError: the id is not a hexadecimal number.
    """
    try:
        return int(row["id"], 16) % shards
    except ValueError:
        raise UserError(
            f"the id {row['id']!r} is not a hexadecimal number, as the workflow writes it; delete "
            "the file of this row and run again"
        ) from None


def shard_rows(rows: list[Row], shard: int, shards: int) -> list[Row]:
    """Return the rows of shard `shard` of `shards`."""
    return [row for row in rows if shard_of(row, shards) == shard]


def gather_shards(
    inputs: Path, shards: Sequence[Path], output: Path, fields: Sequence[str]
) -> None:
    """Write the rows of all shards to `output`, in the order of the rows in `inputs`.

    Their dropped rows, counts and usage are written to files beside it.

    Args:
        inputs: the questions of which each shard has a part.
        shards: in the order of their numbers.
        output: file of the gathered rows.
        fields: the fields of a row.

    Raises:
        UserError: a shard does not have the rows of its questions, no more and no fewer.
    """
    opened = Shards(shards, fields)
    rows = opened.take_all(iterate_rows(inputs, needs=("id", "question")))
    write_filtered(rows, output, number_of_rows(inputs), replaced=opened.replaced)
    opened.write_usage(output)


def allow_open_files(count: int) -> None:
    """Raise the limit of open files of this process; by default, many systems allow only 1024.

    Raises:
        UserError: the system does not allow so many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and count > hard:
        raise UserError(
            f"key shards: gathering needs {count} open files, but the limit is {hard} (ulimit -Hn);"
            " raise it, or set fewer shards"
        )
    if soft != resource.RLIM_INFINITY and count > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


class Shards:
    """The shards of a stage, whose rows are taken in the order of their questions.

    All files are read once, row by row.

    Attributes:
        replaced: the sum of their counts of replaced texts.
    """

    def __init__(self, paths: Sequence[Path], fields: Sequence[str]):
        """Open the shards in the order of their numbers; `fields` are those of a row."""
        allow_open_files(2 * len(paths) + OTHER_OPEN_FILES)
        self.paths = paths
        self.readers = [ShardReader(path, fields) for path in paths]
        self.replaced = Counter[str]()
        for path in paths:
            counts = read_json(path.with_suffix(".counts.json"), Counts)
            self.replaced.update(counts.get("replaced", {}))

    def take(self, question: Row) -> Filtered:
        """Return the row of a question, with its reason if it was dropped.

        Raises:
            UserError: its shard has another row instead, or none.
        """
        return self.readers[shard_of(question, len(self.readers))].take(question)

    def take_all(self, questions: Iterable[Row]) -> Iterator[Filtered]:
        """Yield the row of each question (`take`).

        Raises:
            UserError: a shard does not have the rows of its questions, no more and no fewer.
        """
        yield from map(self.take, questions)
        self.check_end()

    def check_end(self) -> None:
        """Check that all rows have been taken.

        Raises:
            UserError: there are rows of no question.
        """
        for reader in self.readers:
            reader.check_end()

    def write_usage(self, output: Path) -> None:
        """Write the sum of the shards' usage beside the file of gathered rows."""
        usage = [read_json(path.with_suffix(".usage.json"), UsageSummary) for path in self.paths]
        write_json(output.with_suffix(".usage.json"), add_usage(usage))


class ShardReader:
    """Reads the kept and the dropped rows of a shard in the order of their questions."""

    def __init__(self, path: Path, fields: Sequence[str]):
        """Open the file of a shard and that of its dropped rows; `fields` are those of a row."""
        self.path = path
        self.kept = iterate_rows(path, needs=fields)
        self.dropped = iterate_rows(
            path.with_suffix(".dropped.jsonl"), needs=("id", "question", "reason")
        )
        self.next_kept, self.next_dropped = next(self.kept, None), next(self.dropped, None)

    def take(self, question: Row) -> Filtered:
        """Return the row of the next question, with its reason if it was dropped.

        Raises:
            UserError: the shard has another row instead, or none.
        """
        kept, dropped = self.next_kept, self.next_dropped
        if kept and is_row_of(kept, question):
            self.next_kept = next(self.kept, None)
            return kept, None
        if dropped and is_row_of(dropped, question):
            self.next_dropped = next(self.dropped, None)
            return dropped, dropped["reason"]
        raise self.error(f"the row of the question {question['id']} is missing")

    def check_end(self) -> None:
        """Check that all rows have been taken.

        Raises:
            UserError: there are rows of no question.
        """
        if row := self.next_kept or self.next_dropped:
            raise self.error(f"the row {row['id']} is of no question")

    def error(self, problem: str) -> UserError:
        """Return the error of a shard that does not fit its questions."""
        return UserError(
            f"{self.path}: {problem}, so this file is not complete, or is of other questions; "
            "delete it and run again. Completions are kept, and are not requested again"
        )


def is_row_of(row: Row, question: Row) -> bool:
    """Return whether a row has the id and the text of a question."""
    return bool(row["id"] == question["id"] and row["question"] == question["question"])
