"""Previews of the stages that make the training data."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from itertools import islice
from math import ceil

from aligners.configuration import results
from aligners.configuration.criteria import load_principles
from aligners.configuration.kinds.config import Config
from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.kinds.imports import ImportRecipe
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import Filtered
from aligners.core.rows import Row, seeded_order
from aligners.preview.asking import SHARD, Ask, Batch
from aligners.preview.exchange import Exchange, StagePreview, without_duplicates
from aligners.preview.responses import read_responses, responses_batch
from aligners.synthesis.critiques import critique_reader
from aligners.synthesis.filters import filter_pair
from aligners.synthesis.imported import import_rows
from aligners.synthesis.own_data import pair_of
from aligners.synthesis.pairs import demonstrated_texts, pair_request, pairs_decoding, read_pair
from aligners.synthesis.questions import (
    deduplicate_questions,
    make_hints,
    question_requests,
    question_row,
    questions_decoding,
    read_lines,
)
from aligners.synthesis.task import Task
from aligners.synthesis.topics import (
    deduplicate_topics,
    example_pools,
    read_topics,
    topic_requests,
    topic_row,
    topics_decoding,
)


def preview_topics(task: Task, teacher: str, count: int, ask: Ask) -> StagePreview:
    """Preview the first prompt of each of the first `count` question types, in the first round."""
    requests = {
        question_type: own[0]
        for question_type, own in topic_requests(task, example_pools(task.criterion), 0).items()
    }
    chosen = dict(islice(requests.items(), count))
    batch = Batch(
        "topics",
        teacher,
        results.TOPICS.path(criterion=task.criterion).with_stem(SHARD),
        [asked.request for asked in chosen.values()],
        topics_decoding(task, 0),
    )
    reply = ask(batch)
    exchanges = []
    for question_type, asked in chosen.items():
        removed = Counter[str]()
        lines = read_topics([asked], reply.results, removed)
        rows = [
            (topic_row(task.criterion, question_type, topic, 0, place), reason)
            for place, (topic, reason) in enumerate(lines)
        ]
        result = reply.results[asked.request.id]
        exchanges.append(Exchange(asked.request.prompt, result, rows, removed))
    near = task.synthesis.topics.near_duplicates
    find = partial(deduplicate_topics, shingle=near.shingle, similarity=near.similarity)
    return StagePreview("topics", teacher, without_duplicates(exchanges, find), reply.usage)


def preview_questions(
    task: Task, config: Config, topics: Sequence[Row], count: int, ask: Ask
) -> StagePreview:
    """Preview the first prompts, with as many hints each as in the run."""
    assert config.teacher is not None
    settings = task.synthesis.questions
    wanted = settings.hints_per_prompt * ceil(count / settings.hints_per_prompt)
    shuffled = sorted(topics, key=lambda row: seeded_order(row, task.seed))
    hints = make_hints(shuffled, min(config.questions_per_criterion, wanted))
    groups = question_requests(task, hints, 0)
    batch = Batch(
        "questions",
        config.teacher,
        results.QUESTIONS.path(criterion=task.criterion).with_stem(SHARD),
        [group.request for group in groups],
        questions_decoding(task, 0),
    )
    reply = ask(batch)
    exchanges = []
    for group in groups:
        removed = Counter[str]()
        result = reply.results[group.request.id]
        rows = [
            (question_row(task.criterion, line.hint, line.text), line.reason)
            for line in read_lines(group, result, removed)
        ]
        exchanges.append(Exchange(group.request.prompt, result, rows, removed))
    near = settings.near_duplicates
    find = partial(deduplicate_questions, shingle=near.shingle, similarity=near.similarity)
    exchanges = without_duplicates(exchanges, find)
    return StagePreview("questions", config.teacher, exchanges, reply.usage)


def preview_first_responses(
    task: Task, llm: str, questions: Sequence[Row], ask: Ask
) -> StagePreview:
    """Preview the first responses of an LLM to its part of the questions."""
    output = results.FIRST_RESPONSES_SHARD.path(criterion=task.criterion, llm=llm, shard=SHARD)
    batch = responses_batch("first_responses", llm, output, questions, task.seed)
    first = read_responses(batch, questions, ask)
    exchanges = [
        Exchange(
            exchange.prompt,
            exchange.result,
            [({**row, "response_by": llm}, reason) for row, reason in exchange.rows],
            exchange.removed,
        )
        for exchange in first.exchanges
    ]
    return StagePreview(first.name, llm, exchanges, first.usage)


def preview_pairs(task: Task, teacher: str, questions: Sequence[Row], ask: Ask) -> StagePreview:
    """Preview the pairs of some questions, and which of them the filters drop."""
    principles = load_principles(task.criterion)
    given = any("response" in question for question in questions)
    batch = Batch(
        "pairs",
        teacher,
        results.PAIRS_SHARD.path(criterion=task.criterion, shard=SHARD),
        [pair_request(task, principles, question) for question in questions],
        pairs_decoding(task, given),
    )
    reply = ask(batch)
    read = partial(read_pair, task.criterion, demonstrated_texts(principles))
    exchanges = []
    for question, request in zip(questions, batch.requests, strict=True):
        removed, result = Counter[str](), reply.results[request.id]
        pair = filtered(task.criterion, task.synthesis, read(question, result, removed), removed)
        exchanges.append(Exchange(request.prompt, result, [pair], removed))
    return StagePreview("pairs", teacher, exchanges, reply.usage)


def filtered(
    criterion: str, synthesis: SynthesisRecipe, pair: Filtered, replaced: Counter[str]
) -> Filtered:
    """Return a pair as the filters leave it, if it was not dropped before."""
    row, reason = pair
    if reason is not None:
        return pair
    languages = load_recipe(CriterionRecipe, criterion).languages
    reader = critique_reader(load_principles(criterion), languages)
    return filter_pair(row, synthesis.cleaning.language, replaced, languages, reader)


def preview_import(config: Config, criterion: str, name: str, count: int) -> StagePreview:
    """Preview the first records of an import, until `count` of them are kept.

    Corrections and preferences are shown as pairs, as the filters leave them.
    """
    synthesis = load_recipe(SynthesisRecipe, config.synthesis)
    recipe = load_recipe(ImportRecipe, name)
    rows, removed = list[Filtered](), Counter[str]()
    for row, reason in import_rows(name, recipe):
        pair = None if reason else pair_of({**row, "criterion": criterion})
        shown = filtered(criterion, synthesis, (pair, None), removed) if pair else (row, reason)
        rows.append(shown)
        if sum(dropped is None for _, dropped in rows) == count:
            break
    exchange = Exchange(None, None, rows, removed)
    return StagePreview(f"import {name}", None, [exchange], note=f"Rows of kind {recipe.kind}.")
