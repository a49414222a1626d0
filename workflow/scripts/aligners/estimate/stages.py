"""The generating stages of a run: how many requests each will send, and examples of them."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from math import ceil
from pathlib import Path
from typing import TypeVar

from aligners.configuration.criteria import QuestionType, load_principles, load_question_types
from aligners.configuration.experiment import validate_experiment
from aligners.configuration.recipes import load_recipe
from aligners.configuration.schemas import Recipe
from aligners.core.completions import Decoding, Request
from aligners.core.rows import row_id
from aligners.core.yaml_files import read_yaml
from aligners.evaluation.baselines import answer_decoding, answer_prompt
from aligners.evaluation.test_inputs import import_dataset
from aligners.llms.generator import llm_prompt
from aligners.synthesis.pairs import pairs_decoding, pairs_prompt
from aligners.synthesis.questions import (
    choose_seed_questions,
    make_hints,
    questions_decoding,
    questions_prompt,
)
from aligners.synthesis.topics import brainstorm_prompts, topics_decoding

DEFAULTS = Path("config/config.yaml")

Item = TypeVar("Item")


@dataclass(frozen=True)
class Stage:
    """What one stage asks of one LLM.

    Attributes:
        requests: how many the run will send.
        examples: requests of the kind; a run sends others, from topics and questions made by then.
        numbers: of the stage questions, the numbers of the lines that each example asks for.
    """

    name: str
    llm: str
    requests: int
    decoding: Decoding
    examples: list[Request]
    numbers: dict[str, range] = field(default_factory=dict)


def load_experiment(path: Path) -> Recipe:
    """Return a configuration as a run with `--configfile` has it: over config/config.yaml.

    Raises:
        UserError: a file is missing, or anything in it or in its recipes is wrong.
    """
    from snakemake.utils import update_config

    merged = read_yaml(DEFAULTS)
    update_config(merged, read_yaml(path))
    return validate_experiment(merged, path)


def make_stages(config: Recipe, examples: int) -> list[Stage]:
    """Return the stages in the order of a run, with up to `examples` requests each."""
    inputs = sum(dataset_rows(config, name) or 0 for name in config["datasets"])
    return [
        topics_stage(config, examples),
        questions_stage(config, examples),
        pairs_stage(config, examples),
        *(answers_stage(config, llm, inputs, examples) for llm in config["llms"]),
    ]


def interleave(groups: Sequence[Sequence[Item]]) -> list[Item]:
    """Return the first of each group, then the second of each, and so on."""
    return [item for tier in zip_longest(*groups) for item in tier if item is not None]


def topics_stage(config: Recipe, examples: int) -> Stage:
    """Return the brainstorming of topics; the examples are from its first round."""
    settings, llm = synthesis(config, "topics")
    requests, by_criterion = 0, []
    for criterion in config["criteria"]:
        pools = {kind.name: kind.example_topics for kind in load_question_types(criterion)}
        prompts = brainstorm_prompts(pools, 0, config["seed"], settings)
        requests += config["topic_rounds"] * len(prompts)
        by_criterion.append(
            [Request(f"{criterion}/{key}", llm_prompt(llm, text)) for key, text in prompts.items()]
        )
    decoding = topics_decoding(settings, config["seed"])
    shown = interleave(by_criterion)[:examples]
    return Stage("topics", config["teacher"], requests, decoding, shown)


def questions_stage(config: Recipe, examples: int) -> Stage:
    """Return the writing of questions; the examples ask about the criteria's example topics."""
    settings, llm = synthesis(config, "questions")
    size, numbers, by_criterion = settings["hints_per_prompt"], {}, []
    for criterion in config["criteria"]:
        seeds, requests = load_question_types(criterion), []
        hints = make_hints(
            example_topics(seeds, config["seed"]),
            min(config["questions_per_criterion"], examples * size),
        )
        for number, start in enumerate(range(0, len(hints), size)):
            group = hints[start : start + size]
            shown = choose_seed_questions(
                seeds, settings["examples_per_prompt"], config["seed"], 0, number
            )
            prompt = llm_prompt(llm, questions_prompt(shown, group))
            requests.append(Request(f"{criterion}/{number}", prompt))
            first = len(shown) + 1
            numbers[requests[-1].id] = range(first, first + len(group))
        by_criterion.append(requests)
    return Stage(
        "questions",
        config["teacher"],
        question_requests(config),
        questions_decoding(settings, config["seed"]),
        interleave(by_criterion)[:examples],
        numbers,
    )


def question_requests(config: Recipe, unanswered: float = 0.0) -> int:
    """Return how many requests the questions of all criteria take.

    Args:
        config: the configuration.
        unanswered: share of the hints that get no question and are asked again.
    """
    settings, _ = synthesis(config, "questions")
    requests, pending = 0, config["questions_per_criterion"]
    for _ in range(settings["attempts"]):
        requests += ceil(pending / settings["hints_per_prompt"])
        pending = round(pending * unanswered)
    return requests * len(config["criteria"])


def example_topics(seeds: Sequence[QuestionType], seed: int) -> list[dict[str, str]]:
    """Return the example topics as rows; shuffled, as the topics of a run are."""
    topics = [
        {"question_type": kind.name, "topic": topic}
        for kind in seeds
        for topic in kind.example_topics
    ]
    random.Random(seed).shuffle(topics)
    return topics


def pairs_stage(config: Recipe, examples: int) -> Stage:
    """Return the writing of pairs for all questions; the examples ask about seed questions."""
    settings, llm = synthesis(config, "pairs")
    by_criterion = []
    for criterion in config["criteria"]:
        principles = load_principles(criterion)
        by_criterion.append(
            [
                Request(
                    f"{criterion}/{row_id(question)}",
                    pairs_prompt(principles, question, llm["chat"]),
                )
                for question in seed_questions(criterion, examples, config["seed"])
            ]
        )
    return Stage(
        "pairs",
        config["teacher"],
        config["questions_per_criterion"] * len(config["criteria"]),
        pairs_decoding(settings, config["seed"]),
        interleave(by_criterion)[:examples],
    )


def answers_stage(config: Recipe, llm: str, inputs: int, examples: int) -> Stage:
    """Return the answers of an LLM to all test inputs; the examples ask the seed questions."""
    recipe = load_recipe("llms", llm)
    questions = interleave(
        [seed_questions(name, examples, config["seed"]) for name in config["criteria"]]
    )
    return Stage(
        "answers",
        llm,
        inputs,
        answer_decoding(recipe, config["seed"]),
        [Request(row_id(text), answer_prompt(recipe, text)) for text in questions[:examples]],
    )


def dataset_rows(config: Recipe, name: str) -> int | None:
    """Return how many questions a dataset has at most, or None where only the Hub knows.

    Raises:
        UserError: its local file is missing or cannot be read.
    """
    recipe = load_recipe("datasets", name)
    if recipe["source"] == "synthetic":
        return config["inputs_per_criterion"] * len(config["criteria"])
    if recipe.get("path"):
        return len(import_dataset(name, recipe).kept)
    rows: int | None = recipe.get("rows")
    return rows


def seed_questions(criterion: str, count: int, seed: int) -> list[str]:
    """Return up to `count` seed questions of a criterion, without their type and topic."""
    chosen = choose_seed_questions(load_question_types(criterion), count, seed, criterion)
    return [question for _, _, question in chosen]


def synthesis(config: Recipe, stage: str) -> tuple[Recipe, Recipe]:
    """Return the settings of a stage that the teacher does, and the teacher's recipe."""
    settings: Recipe = load_recipe("synthesis", config["synthesis"])[stage]
    return settings, load_recipe("llms", config["teacher"])
