"""First responses: the LLMs that will be corrected write them, in place of the teacher.

So an aligner is trained on responses as it will meet them. Each question has one of the LLMs.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from aligners.core.counts import Filtered
from aligners.core.errors import UserError
from aligners.core.hashes import short_hash
from aligners.core.rows import Row, iterate_rows

FIELDS = ("id", "response", "response_by")


def responding_llm(question: Row, llms: Sequence[str]) -> str:
    """Return the LLM that responds to a question: the one with the highest hash.

    So a new LLM takes a part of every other LLM's questions, and the others stay (rendezvous
    hashing, Thaler and Ravishankar 1998).
    """
    return max(llms, key=lambda llm: short_hash([question["id"], llm]))


def add_first_responses(questions: Iterable[Row], files: Sequence[Path]) -> Iterator[Filtered]:
    """Yield each question with its `response` and `response_by`, or with the reason no_response.

    Args:
        questions: of one shard. Those with a response stay as they are.
        files: the responses of each LLM, with those that failed beside. Without files, the teacher
            is to write the responses, and the questions stay as they are.

    Raises:
        UserError: a question has neither a response nor a failed one.
    """
    if not files:
        yield from ((question, None) for question in questions)
        return
    responses = {row["id"]: row for path in files for row in iterate_rows(path, needs=FIELDS)}
    failed = {
        row["id"]
        for path in files
        for row in iterate_rows(path.with_suffix(".dropped.jsonl"), needs=("id",))
    }
    for question in questions:
        if "response" in question:
            yield question, None
            continue
        row = responses.get(question["id"])
        if row is not None:
            yield {**question, **{name: row[name] for name in FIELDS}}, None
        elif question["id"] in failed:
            yield question, "no_response"
        else:
            raise UserError(
                f"{', '.join(map(str, files))}: no row of the question {question['id']}, so a file "
                "is of other questions; delete these files and run again. Completions are kept"
            )
