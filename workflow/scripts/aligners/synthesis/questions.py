"""Questions: the teacher writes a question for each hint (a question type and a topic).

The stage runs in attempts. If the line of a hint is missing or is not a question, the next attempt
asks for it again.
"""

import logging
import random
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice

from aligners.configuration.criteria import load_question_types
from aligners.configuration.kinds.criteria import CriterionRecipe, QuestionType
from aligners.configuration.languages import ENGLISH
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.counts import Filtered
from aligners.core.rows import Row, row_id
from aligners.llms.generator import Generator, llm_prompt
from aligners.synthesis.near_duplicates import duplicate_reasons, wording, wordings
from aligners.synthesis.numbered_lists import Line as ListLine
from aligners.synthesis.numbered_lists import is_remark, read_list
from aligners.synthesis.task import Task, in_language

logger = logging.getLogger(__name__)

MAXIMUM_CHARACTERS = 1000
# A base LLM may go on with the list of another prompt.
STOP = "\n\nWrite one question"
# What an LLM writes about a question in place of it: "Here is a question about cats", "[question]".
NO_QUESTION = re.compile(
    r"\W*(?:here(?:['’]s| is)|this is|a|an|one|another|the)?\s*(?:\w+ )?questions? (?:about|on|for"
    r"|regarding|related to)\b[^?]*"
    r"|\W*(?:ask|write|create|pose|generate|formulate|insert|add|think of)"
    r" (?:me )?(?:a|an|one|another|the|your)(?: \w+)? question\b[^?]*"
    r"|\W*(?:ask|write|insert|add|put) [^?]*\bhere\W*"
    r"|[\[(<{][^\])>}?]*[\])>}]\W*"
    r"|[\W_]*",
    re.IGNORECASE,
)

# Thai, Japanese and Chinese have no blanks between words.
WITHOUT_BLANKS = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff]")
HINT_BEFORE = re.compile(
    r"[*_\[(]*(?P<names>[^\[\]():?*]{1,100}?)(?:[\])]+[*_]*:?|:[*_]*|[*_]*\s[–—-])\s+(?P<rest>\S.*)"
)
HINT_AFTER = re.compile(r"(?P<rest>\S.*[.?!])\s+[*_]*[\[(](?P<names>[^\[\]()]{1,100})[\])][*_]*")


@dataclass(frozen=True)
class Hint:
    """The question type and the topic of a question. Repeated hints have different ordinals."""

    question_type: str
    topic: str
    ordinal: int


# Of a line that belongs to no hint.
NO_HINT = Hint("", "", 0)


@dataclass(frozen=True)
class HintGroup:
    """The hints of one request.

    Attributes:
        request: asks for one line per hint.
        examples: questions that the prompt shows. They have the numbers from 1.
        hints: they have the numbers after those of the examples.
    """

    request: Request
    examples: list[str]
    hints: list[Hint]


@dataclass(frozen=True)
class Line:
    """The teacher's text for a hint, or another line of its completion.

    Attributes:
        hint: NO_HINT for other lines.
        text: empty if the line of the hint is missing.
        reason: why the line is not a question for the hint, or None.
    """

    hint: Hint
    text: str
    reason: str | None


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


def questions_prompt(
    examples: Sequence[tuple[str, str, str]],
    hints: Sequence[Hint],
    demand: str,
    chat: bool,
    languages: Sequence[str] = ENGLISH,
) -> str:
    """Return a prompt for one question per hint.

    Args:
        examples: (question type, topic, question).
        hints: for each of them, the prompt asks for a question.
        demand: description of the criterion that responses to the questions should meet.
        chat: whether the prompt says in which form the questions are wanted.
        languages: of the questions.
    """
    example_lines = "\n".join(
        f"{number}. [{question_type} | {topic}] {question}"
        for number, (question_type, topic, question) in enumerate(examples, start=1)
    )
    first = len(examples) + 1
    hint_lines = "\n".join(
        f"{number}. [{hint.question_type} | {hint.topic}]"
        for number, hint in enumerate(hints, start=first)
    )
    form = in_language(languages)
    form += " Write only the questions, each in one line after its number." if chat else ""
    aim = " ".join(demand.split()).rstrip(".")
    return (
        "Write one question or request for each numbered line. It fits the question type and the "
        f"topic in the brackets. The questions test whether an assistant meets this demand: {aim}. "
        "So ask what an assistant may well answer badly in this respect. Keep the questions short, "
        f"and make each differ from the others in wording and form.{form}\n\n{example_lines}\n\n"
        f"{hint_lines}\n\nQuestions:\n{first}."
    )


def question_requests(task: Task, hints: Sequence[Hint], attempt: int) -> list[HintGroup]:
    """Return the requests of attempt `attempt`, from 0. Each shows its own sample of examples."""
    question_types = load_question_types(task.criterion)
    demand = load_recipe(CriterionRecipe, task.criterion).description or task.criterion
    settings = task.synthesis.questions
    groups = []
    for number, start in enumerate(range(0, len(hints), settings.hints_per_prompt)):
        group = list(hints[start : start + settings.hints_per_prompt])
        examples = choose_seed_questions(
            question_types, settings.examples_per_prompt, task.seed, attempt, number
        )
        prompt = questions_prompt(examples, group, demand, task.llm.chat, task.languages)
        request = Request(f"{attempt}/{number}", llm_prompt(task.llm, prompt))
        groups.append(HintGroup(request, [question for _, _, question in examples], group))
    return groups


def questions_decoding(task: Task, attempt: int) -> Decoding:
    """Return how the questions of an attempt are sampled. Each attempt has its own seed."""
    return Decoding(
        max_new_tokens=task.synthesis.questions.max_new_tokens,
        temperature=task.synthesis.questions.temperature,
        top_p=task.synthesis.questions.top_p,
        top_k=task.synthesis.questions.top_k,
        stop=() if task.llm.chat else (STOP,),
        seed=task.seed + attempt,
    )


def parse_questions(completion: Completion, group: HintGroup, removed: Counter[str]) -> list[Line]:
    """Return a line for each hint of a group, and the other lines of the completion.

    If a hint has no line, its text is empty. `removed` counts what is removed around the questions.
    """
    first = len(group.examples) + 1
    found = read_list(completion, first, group.examples, removed, len(group.hints))
    hints = dict(enumerate(group.hints, start=first))
    best: dict[int, ListLine] = {}
    for line in found:
        if line.number in hints and (line.number not in best or line.reason is None):
            best[line.number] = line
    others = [line for line in found if line is not best.get(line.number or 0)]
    return [
        *(read_line(hint, best.get(number), group.examples) for number, hint in hints.items()),
        *(Line(NO_HINT, line.text, line.reason or "no_hint") for line in others),
    ]


def read_line(hint: Hint, line: ListLine | None, examples: Collection[str]) -> Line:
    """Return the line of a hint. `examples` are the questions in the prompt."""
    if line is None:
        return Line(hint, "", "no_line")
    text = without_hint(line.text, hint)
    repeated = "repeats_example" if wording(text) in wordings(examples) else None
    return Line(hint, text, line.reason or repeated or question_reason(text, hint))


def without_hint(question: str, hint: Hint) -> str:
    """Return a question without the topic or the question type before it, or in brackets after it.

    "Cats: Why do cats purr?" loses its first word; "Cats: Why do they purr?" does not.
    """
    after = HINT_AFTER.fullmatch(question)
    match = HINT_BEFORE.fullmatch(question) or after
    if not match:
        return question
    named, rest = letters(match["names"]), match["rest"]
    with_type = [letters(hint.question_type), letters(f"{hint.question_type} {hint.topic}")]
    repeated = named == letters(hint.topic) and (match is after or set(named) <= set(letters(rest)))
    return rest if named in with_type or repeated else question


def question_reason(question: str, hint: Hint = NO_HINT) -> str | None:
    """Return the reason why a line is not a question for a hint, or None.

    Statements and instructions are questions too: people ask LLMs without a question mark.
    """
    if not question:
        return "empty"
    if len(question) > MAXIMUM_CHARACTERS:
        return "too_long"
    is_word = len(question.split()) < 2 and not WITHOUT_BLANKS.search(question)
    if is_word or NO_QUESTION.fullmatch(question) or is_remark(question):
        return "not_a_question"
    names = {hint.topic, f"{hint.question_type} {hint.topic}"}
    if letters(question) in map(letters, names):
        return "not_a_question"
    return None


def letters(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return re.findall(r"\w+", text.lower())


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


def ask_questions(
    task: Task,
    generator: Generator,
    hints: Sequence[Hint],
    attempt: int,
    removed: Counter[str],
) -> list[Line]:
    """Ask the teacher once for a question for each hint, and return the lines."""
    groups = question_requests(task, hints, attempt)
    completions = generator.complete_all(
        [group.request for group in groups],
        questions_decoding(task, attempt),
        f"{task.criterion} questions, attempt {attempt + 1}",
    )
    return [
        line
        for group in groups
        for line in read_lines(group, completions[group.request.id], removed)
    ]


def read_lines(group: HintGroup, result: Completion | Failure, removed: Counter[str]) -> list[Line]:
    """Return the lines of a group; without a completion, none of its hints has a line."""
    if isinstance(result, Failure):
        return [Line(hint, "", "no_line") for hint in group.hints]
    return parse_questions(result, group, removed)


def generate_questions(
    task: Task, generator: Generator, topics: Sequence[Row], count: int, removed: Counter[str]
) -> Iterator[Filtered]:
    """Yield distinct questions for `count` hints.

    Every other line is dropped with its reason. If a hint has no question after the last attempt,
    it is dropped as `no_line`. `removed` counts what is removed around the questions.
    """
    hints = make_hints(topics, count)
    if topics:
        times = count / len(topics)
        logger.info("%d questions for %d topics: each topic %.1f times", count, len(topics), times)
    questions = []
    for attempt in range(task.synthesis.questions.attempts):
        lines = ask_questions(task, generator, hints, attempt, removed)
        for line in lines:
            row = question_row(task.criterion, line.hint, line.text)
            if line.reason is None:
                questions.append(row)
            elif line.reason != "no_line":
                yield row, line.reason
        hints = [line.hint for line in lines if line.reason and line.hint is not NO_HINT]
    for hint in hints:
        yield question_row(task.criterion, hint, ""), "no_line"
    near = task.synthesis.questions.near_duplicates
    yield from deduplicate_questions(questions, near.shingle, near.similarity)
