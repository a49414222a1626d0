"""The generating stages of a run: how many requests each will send, and examples of them.

The functions that build the requests of a run also build the examples. Topics and questions do not
exist yet, so the examples use the criteria's example topics and seed questions, and responses of
their demonstrations.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, cycle, islice, zip_longest
from math import ceil
from pathlib import Path
from typing import TypeVar

from aligners.configuration.criteria import load_principles, load_question_types
from aligners.configuration.experiment import (
    has_seed_questions,
    imports_of,
    needs_teacher,
)
from aligners.configuration.experiment_checks import validate_experiment
from aligners.configuration.kinds.config import Config
from aligners.configuration.kinds.datasets import (
    DatasetRecipe,
    HubDatasetRecipe,
    SyntheticDatasetRecipe,
)
from aligners.configuration.kinds.imports import HubImportRecipe, ImportRecipe
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.configuration.workflow_files import find_file
from aligners.core.completions import Decoding, Request
from aligners.core.rows import Row, row_id
from aligners.core.yaml_files import read_yaml
from aligners.evaluation.baselines import response_decoding, response_request
from aligners.evaluation.test_inputs import import_dataset
from aligners.synthesis.imported import import_rows
from aligners.synthesis.own_data import needs_pair
from aligners.synthesis.pairs import pair_request, pairs_decoding
from aligners.synthesis.questions import (
    HintGroup,
    choose_seed_questions,
    make_hints,
    question_requests,
    questions_decoding,
)
from aligners.synthesis.task import Task, load_task
from aligners.synthesis.topics import example_pools, topic_requests, topics_decoding

DEFAULTS = Path("config/config.yaml")

Item = TypeVar("Item")


@dataclass(frozen=True)
class Stage:
    """The requests of one stage to one LLM.

    Attributes:
        requests: number of requests that the run will send.
        examples: some requests, with the criteria in turn, so that a sample covers all of them.
        groups: the hints of each example, for the stage `questions` only.
    """

    name: str
    llm: str
    requests: int
    decoding: Decoding
    examples: list[Request]
    groups: list[HintGroup] = field(default_factory=list)


def load_experiment(path: Path) -> Config:
    """Return a configuration merged over config/config.yaml, as by `snakemake --configfile`.

    Raises:
        UserError: a file is missing, or the configuration or one of its recipes is invalid.
    """
    from snakemake.utils import update_config

    merged = read_yaml(find_file(DEFAULTS))
    update_config(merged, read_yaml(path))
    return validate_experiment(merged, path, find_file(DEFAULTS))


def make_stages(config: Config, examples: int) -> list[Stage]:
    """Return the stages in the order of a run, with up to `examples` requests each.

    Without seed questions, there are no stages `topics` and `questions`. Criteria with pairs of
    their own alone have only the stage `responses`.
    """
    responses = [responses_stage(config, llm, examples) for llm in config.llms]
    if config.teacher is None or not any(needs_teacher(config, name) for name in config.criteria):
        return responses
    generated = any(map(has_seed_questions, config.criteria))
    return [
        *([topics_stage(config, config.teacher, examples)] if generated else []),
        *([questions_stage(config, config.teacher, examples)] if generated else []),
        *(first_responses_stage(config, llm, examples) for llm in config.responses_by),
        pairs_stage(config, config.teacher, examples),
        *responses,
    ]


def load_tasks(config: Config, teacher: str) -> list[Task]:
    """Return the teacher's task for each criterion whose questions it writes."""
    given = (teacher, config.synthesis, config.seed)
    return [load_task(name, *given) for name in config.criteria if has_seed_questions(name)]


def interleave(groups: Sequence[Sequence[Item]]) -> list[Item]:
    """Return the first of each group, then the second of each, and so on."""
    return [item for tier in zip_longest(*groups) for item in tier if item is not None]


def with_criterion(task: Task, request: Request) -> Request:
    """Return the request with an id that is unique among all criteria."""
    return replace(request, id=f"{task.criterion}/{request.id}")


def topics_stage(config: Config, teacher: str, examples: int) -> Stage:
    """Return the stage `topics`, with examples from its first round."""
    tasks = load_tasks(config, teacher)
    first_round = [
        [
            with_criterion(task, asked.request)
            for asked in chain(*topic_requests(task, example_pools(task.criterion), 0).values())
        ]
        for task in tasks
    ]
    return Stage(
        "topics",
        teacher,
        config.topic_rounds * sum(map(len, first_round)),
        topics_decoding(tasks[0], 0),
        interleave(first_round)[:examples],
    )


def questions_stage(config: Config, teacher: str, examples: int) -> Stage:
    """Return the stage `questions`, with examples from its first attempt."""
    tasks = load_tasks(config, teacher)
    most = examples * tasks[0].synthesis.questions.hints_per_prompt
    hints = min(config.questions_per_criterion, most)
    first_attempt = [
        [
            replace(group, request=with_criterion(task, group.request))
            for group in question_requests(task, make_hints(example_topics(task), hints), 0)
        ]
        for task in tasks
    ]
    groups = interleave(first_attempt)[:examples]
    return Stage(
        "questions",
        teacher,
        count_question_requests(config),
        questions_decoding(tasks[0], 0),
        [group.request for group in groups],
        groups,
    )


def count_question_requests(config: Config, unanswered: float = 0.0) -> int:
    """Return the number of requests if a share of hints gets no question and is sent again."""
    settings = load_recipe(SynthesisRecipe, config.synthesis).questions
    requests, hints = 0, config.questions_per_criterion
    for _ in range(settings.attempts):
        requests += ceil(hints / settings.hints_per_prompt)
        hints = round(hints * unanswered)
    return requests * sum(map(has_seed_questions, config.criteria))


def example_topics(task: Task) -> list[Row]:
    """Return the example topics of a criterion as rows, shuffled like the topics of a run."""
    topics = [
        {"question_type": question_type, "topic": topic}
        for question_type, pool in example_pools(task.criterion).items()
        for topic in pool
    ]
    random.Random(task.seed).shuffle(topics)
    return topics


def pairs_stage(config: Config, teacher: str, examples: int) -> Stage:
    """Return the stage `pairs`, with seed questions and imported ones as examples."""
    requests, number = [], 0
    in_turn = [name for name in config.criteria if needs_teacher(config, name)]
    tasks = [load_task(name, teacher, config.synthesis, config.seed) for name in in_turn]
    for task in tasks:
        principles = load_principles(task.criterion)
        own = imported_to_pair(config, task.criterion)
        number += len(own) + config.questions_per_criterion * has_seed_questions(task.criterion)
        questions = [*own, *seed_questions(task.criterion, examples, task.seed)][:examples]
        if config.responses_by:
            shown = cycle(principles.demonstrations)
            questions = [
                {"response": item.response, **question}
                for question, item in zip(questions, shown, strict=False)
            ]
        sample = [pair_request(task, principles, question) for question in questions]
        requests.append([with_criterion(task, request) for request in sample])
    return Stage(
        "pairs",
        teacher,
        number,
        pairs_decoding(tasks[0], given=bool(config.responses_by)),
        interleave(requests)[:examples],
    )


def imported_to_pair(config: Config, criterion: str) -> list[Row]:
    """Return the imported questions of a criterion for which the teacher will write pairs.

    A criterion has one pair of a question. Of a data set that needs a download, there are none.
    """
    rows = chain.from_iterable(imported_rows(name) for name in imports_of(config, criterion))
    found: dict[str, Row] = {}
    for row in filter(needs_pair, rows):
        question = row_id(row["question"])
        found.setdefault(question, {**row, "id": question})
    return list(found.values())


def imported_rows(name: str) -> list[Row]:
    """Return the rows of an import from a local table; none if it needs a download.

    Raises:
        UserError: the local file cannot be read.
    """
    recipe = load_recipe(ImportRecipe, name)
    if isinstance(recipe, HubImportRecipe) and recipe.path is None:
        return []
    return [row for row, reason in import_rows(name, recipe) if reason is None]


def first_responses_stage(config: Config, llm: str, examples: int) -> Stage:
    """Return the stage `first_responses` of an LLM, which responds to its part of the questions."""
    questions = config.questions_per_criterion * sum(map(has_seed_questions, config.criteria))
    for criterion in config.criteria:
        questions += sum("response" not in row for row in imported_to_pair(config, criterion))
    requests = ceil(questions / len(config.responses_by))
    return replace(
        responses_stage(config, llm, examples), name="first_responses", requests=requests
    )


def responses_stage(config: Config, llm: str, examples: int) -> Stage:
    """Return the stage `responses` of an LLM, with seed questions as examples."""
    recipe = load_recipe(LLMRecipe, llm)
    questions = interleave([known_questions(config, name, examples) for name in config.criteria])
    return Stage(
        "responses",
        llm,
        sum(dataset_rows(config, name) or 0 for name in config.datasets),
        response_decoding(recipe, config.seed),
        [response_request(recipe, question) for question in questions[:examples]],
    )


def known_questions(config: Config, criterion: str, count: int) -> list[Row]:
    """Return up to `count` questions of a criterion as rows: seed questions, else imported ones."""
    if seeds := seed_questions(criterion, count, config.seed):
        return seeds
    rows = chain.from_iterable(imported_rows(name) for name in imports_of(config, criterion))
    return [{**row, "id": row_id(row["question"])} for row in islice(rows, count)]


def seed_questions(criterion: str, count: int, seed: int) -> list[Row]:
    """Return up to `count` seed questions of a criterion as rows; it may have none."""
    if not has_seed_questions(criterion):
        return []
    chosen = choose_seed_questions(load_question_types(criterion), count, seed, criterion)
    return [{"id": row_id(question), "question": question} for _, _, question in chosen]


def dataset_rows(config: Config, name: str) -> int | None:
    """Return at most how many questions a data set has; None if that needs a download.

    Raises:
        UserError: the local file is missing or cannot be read.
    """
    recipe = load_recipe(DatasetRecipe, name)
    if isinstance(recipe, SyntheticDatasetRecipe):
        return config.inputs_per_criterion * len(config.criteria)
    if isinstance(recipe, HubDatasetRecipe) and recipe.path is None:
        return recipe.rows
    return sum(reason is None for _, reason in import_dataset(name, recipe))
