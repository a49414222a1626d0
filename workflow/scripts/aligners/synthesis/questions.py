"""Questions: the teacher writes a question for each hint (a question type and a topic).

The stage runs in attempts. If the line of a hint is missing or is not a question, the next attempt
asks for it again.
"""

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from aligners.configuration.criteria import load_question_types
from aligners.configuration.kinds.criteria import QuestionType
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.counts import Filtered
from aligners.core.rows import Row, row_id
from aligners.llms.generator import Generator, llm_prompt
from aligners.synthesis.near_duplicates import duplicate_reasons
from aligners.synthesis.task import Task

# An LLM may repeat the hint in brackets before the question.
NUMBERED = re.compile(r"\s*(?P<number>\d+)\s*[.)]\s*(\[[^]|]*\|[^]]*\])?\s*(?P<question>.*)")
MAXIMUM_CHARACTERS = 1000


@dataclass(frozen=True)
class Hint:
    """The question type and the topic of a question. Repeated hints have different ordinals."""

    question_type: str
    topic: str
    ordinal: int


@dataclass(frozen=True)
class HintGroup:
    """The hints of one request.

    Attributes:
        request: asks for one line per hint.
        first: number of the first hint's line. The examples have the numbers before it.
    """

    request: Request
    first: int
    hints: list[Hint]


@dataclass(frozen=True)
class Line:
    """The teacher's text for a hint. It is empty if the line is missing."""

    hint: Hint
    text: str

    @property
    def reason(self) -> str | None:
        """The reason why the line is not a question, or None."""
        return question_reason(self.text) if self.text else "no_line"


def make_hints(topics: Sequence[Row], count: int) -> list[Hint]:
    """Return `count` hints from the topics in order, repeated as often as needed."""
    return [
        Hint(row["question_type"], row["topic"], number // len(topics))
        for number, row in enumerate(islice(cycle(topics), count))
    ]


def choose_seed_questions(
    question_types: Sequence[QuestionType], count: int, *seed: object
) -> list[tuple[str, str, str]]:
    """Return a sample of (question type, topic, question). All parts of the seed decide it."""
    pool = [
        (kind.type, example.topic, example.question)
        for kind in question_types
        for example in kind.questions
    ]
    return random.Random("/".join(map(str, seed))).sample(pool, min(count, len(pool)))


def questions_prompt(examples: Sequence[tuple[str, str, str]], hints: Sequence[Hint]) -> str:
    """Return a prompt for one question per hint. An example is (type, topic, question)."""
    example_lines = "\n".join(
        f"{number}. [{question_type} | {topic}] {question}"
        for number, (question_type, topic, question) in enumerate(examples, start=1)
    )
    hint_lines = "\n".join(
        f"{number}. [{hint.question_type} | {hint.topic}]"
        for number, hint in enumerate(hints, start=len(examples) + 1)
    )
    return (
        "Write one question for each numbered line. It fits the question type and the topic in "
        f"the brackets.\n\n{example_lines}\n\n{hint_lines}\n\nQuestions:\n{len(examples) + 1}."
    )


def question_requests(task: Task, hints: Sequence[Hint], attempt: int) -> list[HintGroup]:
    """Return the requests of attempt `attempt`, from 0. Each shows its own sample of examples."""
    question_types = load_question_types(task.criterion)
    size, count = (
        task.synthesis.questions.hints_per_prompt,
        task.synthesis.questions.examples_per_prompt,
    )
    groups = []
    for number, start in enumerate(range(0, len(hints), size)):
        group = list(hints[start : start + size])
        examples = choose_seed_questions(question_types, count, task.seed, attempt, number)
        prompt = llm_prompt(task.llm, questions_prompt(examples, group))
        groups.append(HintGroup(Request(f"{attempt}/{number}", prompt), len(examples) + 1, group))
    return groups


def questions_decoding(task: Task, attempt: int) -> Decoding:
    """Return how the questions of an attempt are sampled. Each attempt has its own seed."""
    return Decoding(
        max_new_tokens=task.synthesis.questions.max_new_tokens,
        temperature=task.synthesis.questions.temperature,
        seed=task.seed + attempt,
    )


def parse_questions(completion: str, first: int, complete: bool) -> dict[int, str]:
    """Return the questions of a completion by their number.

    The prompt ends with the number `first`. So if the first line has no number, its number is
    `first`; a chat LLM repeats the number. Other lines without a number are ignored. If the
    completion was cut off (`complete` is false), its last line is ignored as well.
    """
    lines = completion.lstrip().split("\n")
    if not NUMBERED.fullmatch(lines[0]):
        lines[0] = f"{first}. {lines[0]}"
    if not complete:
        lines.pop()
    questions: dict[int, str] = {}
    for line in lines:
        match = NUMBERED.fullmatch(line)
        if match and match["question"].strip():
            questions.setdefault(int(match["number"]), match["question"].strip())
    return questions


def question_reason(question: str) -> str | None:
    """Return the reason why a line is not a question, or None."""
    if len(question) > MAXIMUM_CHARACTERS:
        return "too_long"
    if "?" not in question or len(question.split()) < 2:
        return "not_a_question"
    return None


def question_row(criterion: str, hint: Hint, question: str) -> Row:
    """Return the row of a question. Its id is a hash of the text."""
    return {
        "id": row_id(question),
        "criterion": criterion,
        "question_type": hint.question_type,
        "topic": hint.topic,
        "question": question,
    }


def deduplicate_questions(
    rows: Iterable[Row], shingle: int, similarity: float
) -> Iterator[Filtered]:
    """Keep the first of several similar questions; drop exact and near-duplicates."""
    rows = list(rows)
    texts = [row["question"] for row in rows]
    reasons = duplicate_reasons(texts, shingle, similarity, "duplicates of questions")
    yield from zip(rows, reasons, strict=True)


def read_lines(group: HintGroup, result: Completion | Failure) -> list[Line]:
    """Return the line of each hint of a group from the completion."""
    texts: dict[int, str] = {}
    if isinstance(result, Completion):
        texts = parse_questions(result.text, group.first, result.finish == "stop")
    return [
        Line(hint, texts.get(number, ""))
        for number, hint in enumerate(group.hints, start=group.first)
    ]


def ask_questions(
    task: Task, generator: Generator, hints: Sequence[Hint], attempt: int
) -> list[Line]:
    """Ask the teacher once for a question for each hint, and return the lines."""
    groups = question_requests(task, hints, attempt)
    completions = generator.complete_all(
        [group.request for group in groups],
        questions_decoding(task, attempt),
        f"{task.criterion} questions, attempt {attempt + 1}",
    )
    return [line for group in groups for line in read_lines(group, completions[group.request.id])]


def generate_questions(
    task: Task, generator: Generator, topics: Sequence[Row], count: int
) -> Iterator[Filtered]:
    """Yield distinct questions for `count` hints.

    Every line that is not a question is dropped with its reason. If a hint has no question after
    the last attempt, it is dropped as `no_line`.
    """
    hints = make_hints(topics, count)
    questions = []
    for attempt in range(task.synthesis.questions.attempts):
        lines = ask_questions(task, generator, hints, attempt)
        for line in lines:
            row = question_row(task.criterion, line.hint, line.text)
            if line.reason is None:
                questions.append(row)
            elif line.text:
                yield row, line.reason
        hints = [line.hint for line in lines if line.reason]
    for hint in hints:
        yield question_row(task.criterion, hint, ""), "no_line"
    near = task.synthesis.questions.near_duplicates
    yield from deduplicate_questions(questions, near.shingle, near.similarity)
