"""Precision and recall of the filters on pairs with planted defects.

The closed world's teacher writes questions and then pairs, with the prompts, the engine and the
parsers of the workflow. A defect is found if the pair is dropped for the planted reason. These are
regression figures: the filters were written for the listed forms of the defects.
"""

from collections import Counter
from collections.abc import Iterator
from itertools import count

from figures import Figure, Figures, at_least

from aligners.closed_world.scorecard import filter_scores, wrapped_scores
from aligners.closed_world.truth import Truth
from aligners.closed_world.world import load_world
from aligners.configuration.criteria import load_principles, load_question_types
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Engine, Request
from aligners.core.counts import Filtered, separate
from aligners.core.rows import Row
from aligners.llms.engines import load_engine
from aligners.synthesis.filters import filter_pair
from aligners.synthesis.pair_prompts import pairs_prompt
from aligners.synthesis.pair_replies import parse_pair
from aligners.synthesis.pairs import pair_row, pairs_decoding
from aligners.synthesis.questions import (
    make_hints,
    parse_questions,
    question_requests,
    question_row,
    questions_decoding,
)
from aligners.synthesis.task import load_task

CRITERIA = ("ethical", "factuality", "helpful")
TEACHER, SYNTHESIS = "closed-world-teacher", "closed-world"
SEED = 0
TARGET = at_least(0.95)


def measure(rows: int = 5000) -> Figures:
    """Filter `rows` pairs, the same number for each criterion, and compare with the defects."""
    recipe = load_recipe(LLMRecipe, TEACHER)
    engine = load_engine(recipe)
    pairs: list[Filtered] = []
    for criterion in CRITERIA:
        questions = generate_questions(engine, criterion, -(-rows // len(CRITERIA)))
        pairs += write_pairs(engine, criterion, questions, recipe.chat)
    kept, dropped = separate(pairs)
    truth = Truth(load_world(recipe.world))
    figures = {"pairs": Figure(len(pairs))}
    for reason, score in filter_scores(truth, kept, dropped, SEED).items():
        figures[f"{reason}: planted"] = Figure(score["n"])
        for kind in ("precision", "recall"):
            figures[f"{reason}: {kind}"] = Figure(score[kind], TARGET)
        # The filters were not written for these forms, so there is no target.
        figures[f"{reason}: recall, forms held out"] = Figure(score["recall_held_out"])
    for wrapping, score in wrapped_scores(truth, kept, dropped, SEED).items():
        figures[f"{wrapping}: read exactly"] = Figure(score["value"], TARGET)
    return figures


def generate_questions(engine: Engine, criterion: str, wanted: int) -> list[Row]:
    """Return distinct questions that the teacher wrote for the example topics."""
    written = written_questions(engine, criterion)
    questions: dict[str, Row] = {}
    while len(questions) < wanted:
        row = next(written)
        questions[row["id"]] = row
    return list(questions.values())


def written_questions(engine: Engine, criterion: str) -> Iterator[Row]:
    """Yield the questions that the teacher writes, prompt by prompt."""
    task = load_task(criterion, TEACHER, SYNTHESIS, SEED)
    topics = [
        {"question_type": kind.type, "topic": topic}
        for kind in load_question_types(criterion)
        for topic in kind.example_topics
    ]
    size = task.synthesis.questions.hints_per_prompt
    for number in count():
        hints = make_hints(topics, (number + 1) * size)[-size:]
        (group,) = question_requests(task, hints, number)
        (completion,) = engine([group.request], questions_decoding(task, number))
        for line in parse_questions(completion, group, Counter()):
            if line.reason is None:
                yield question_row(criterion, line.hint, line.text)


def write_pairs(
    engine: Engine, criterion: str, questions: list[Row], chat: bool
) -> Iterator[Filtered]:
    """Generate a pair for each question, and filter it."""
    task = load_task(criterion, TEACHER, SYNTHESIS, SEED)
    principles = load_principles(criterion)
    requests = [
        Request(row["id"], pairs_prompt(principles, row["question"], chat)) for row in questions
    ]
    found = engine(requests, pairs_decoding(task))
    completions = {completion.id: completion for completion in found}
    language = task.synthesis.cleaning.language
    for question in questions:
        fields, reason = parse_pair(completions[question["id"]], Counter())
        row = pair_row(criterion, question, fields)
        yield (row, reason) if reason else filter_pair(row, language, Counter())
