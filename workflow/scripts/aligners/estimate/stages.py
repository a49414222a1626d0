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
from aligners.configuration.experiment import is_generated
from aligners.configuration.experiment_checks import validate_experiment
from aligners.configuration.kinds.config import Config
from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.kinds.datasets import (
    DatasetRecipe,
    HubDatasetRecipe,
    SyntheticDatasetRecipe,
)
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.configuration.workflow_files import find_file
from aligners.core.completions import Decoding, Request
from aligners.core.rows import Row, row_id
from aligners.core.yaml_files import read_yaml
from aligners.evaluation.baselines import response_decoding, response_request
from aligners.evaluation.test_inputs import import_dataset
from aligners.synthesis.own_pairs import own_pairs
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

    Criteria with their own pairs need no teacher, and have only the stage `responses`.
    """
    responses = [responses_stage(config, llm, examples) for llm in config.llms]
    if config.teacher is None or not any(map(is_generated, config.criteria)):
        return responses
    return [
        topics_stage(config, config.teacher, examples),
        questions_stage(config, config.teacher, examples),
        *(first_responses_stage(config, llm, examples) for llm in config.responses_by),
        pairs_stage(config, config.teacher, examples),
        *responses,
    ]


def load_tasks(config: Config, teacher: str) -> list[Task]:
    """Return the teacher's task for each criterion whose data it writes."""
    given = (teacher, config.synthesis, config.seed)
    return [load_task(name, *given) for name in config.criteria if is_generated(name)]


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
    return requests * sum(map(is_generated, config.criteria))


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
    """Return the stage `pairs`, with seed questions as examples."""
    tasks = load_tasks(config, teacher)
    requests = []
    for task in tasks:
        principles = load_principles(task.criterion)
        questions = seed_questions(task.criterion, examples, task.seed)
        if config.responses_by:
            shown = cycle(principles.demonstrations)
            questions = [
                {**question, "response": item.response}
                for question, item in zip(questions, shown, strict=False)
            ]
        own = [pair_request(task, principles, question) for question in questions]
        requests.append([with_criterion(task, request) for request in own])
    return Stage(
        "pairs",
        teacher,
        config.questions_per_criterion * len(tasks),
        pairs_decoding(tasks[0], given=bool(config.responses_by)),
        interleave(requests)[:examples],
    )


def first_responses_stage(config: Config, llm: str, examples: int) -> Stage:
    """Return the stage `first_responses` of an LLM, which responds to its part of the questions."""
    questions = config.questions_per_criterion * sum(map(is_generated, config.criteria))
    requests = ceil(questions / len(config.responses_by))
    return replace(
        responses_stage(config, llm, examples), name="first_responses", requests=requests
    )


def responses_stage(config: Config, llm: str, examples: int) -> Stage:
    """Return the stage `responses` of an LLM, with seed questions as examples."""
    recipe = load_recipe(LLMRecipe, llm)
    questions = interleave(
        [seed_questions(name, examples, config.seed) for name in config.criteria]
    )
    return Stage(
        "responses",
        llm,
        sum(dataset_rows(config, name) or 0 for name in config.datasets),
        response_decoding(recipe, config.seed),
        [response_request(recipe, question) for question in questions[:examples]],
    )


def seed_questions(criterion: str, count: int, seed: int) -> list[Row]:
    """Return up to `count` questions of a criterion as rows: seed questions, or of own pairs."""
    if pairs := load_recipe(CriterionRecipe, criterion).pairs:
        own = (row["question"] for row, reason in own_pairs(criterion, pairs) if reason is None)
        return [{"id": row_id(question), "question": question} for question in islice(own, count)]
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
