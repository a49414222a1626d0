"""Precision and recall of the filters on pairs with planted defects.

The closed world's teacher writes questions and then pairs, with the prompts, the engine and the
parsers of the workflow. A defect is found if the pair is dropped for the planted reason.
"""

from collections.abc import Iterator
from itertools import count

from figures import Figure, Figures, at_least

from aligners.closed_world.scorecard import filter_scores
from aligners.closed_world.truth import Truth
from aligners.closed_world.world import load_world
from aligners.configuration.criteria import load_principles, load_question_types
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Decoding, Engine, Request
from aligners.core.counts import Filtered, separate
from aligners.core.rows import Row
from aligners.llms.engines import load_engine
from aligners.synthesis.filters import pair_reason
from aligners.synthesis.pairs import STOP, pair_row, pairs_prompt, parse_pair
from aligners.synthesis.questions import (
    choose_seed_questions,
    make_hints,
    parse_questions,
    question_reason,
    question_row,
    questions_prompt,
)

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
    return figures


def generate_questions(engine: Engine, criterion: str, wanted: int) -> list[Row]:
    """Return distinct questions that the teacher wrote for the example topics."""
    written = written_questions(engine, criterion)
    questions: dict[str, Row] = {}
    while len(questions) < wanted:
        row = next(written)
        if question_reason(row["question"]) is None:
            questions[row["id"]] = row
    return list(questions.values())


def written_questions(engine: Engine, criterion: str) -> Iterator[Row]:
    """Yield the questions that the teacher writes, prompt by prompt."""
    settings = load_recipe(SynthesisRecipe, SYNTHESIS).questions
    types = load_question_types(criterion)
    topics = [
        {"question_type": kind.type, "topic": topic}
        for kind in types
        for topic in kind.example_topics
    ]
    size, examples = settings.hints_per_prompt, settings.examples_per_prompt
    for number in count():
        hints = make_hints(topics, (number + 1) * size)[-size:]
        seeds = choose_seed_questions(types, examples, SEED, number)
        request = Request(str(number), questions_prompt(seeds, hints))
        decoding = Decoding(settings.max_new_tokens, settings.temperature, seed=SEED)
        (completion,) = engine([request], decoding)
        lines = parse_questions(completion.text, examples + 1, completion.finish == "stop")
        for line, hint in enumerate(hints, start=examples + 1):
            if line in lines:
                yield question_row(criterion, hint, lines[line])


def write_pairs(
    engine: Engine, criterion: str, questions: list[Row], chat: bool
) -> Iterator[Filtered]:
    """Generate a pair for each question, and filter it."""
    settings = load_recipe(SynthesisRecipe, SYNTHESIS)
    principles = load_principles(criterion)
    requests = [
        Request(row["id"], pairs_prompt(principles, row["question"], chat)) for row in questions
    ]
    decoding = Decoding(**settings.pairs.model_dump(), stop=(STOP,), seed=SEED)
    completions = {completion.id: completion for completion in engine(requests, decoding)}
    for question in questions:
        fields, reason = parse_pair(completions[question["id"]])
        row = pair_row(criterion, question, fields)
        yield row, reason or pair_reason(row, settings.cleaning.language)
