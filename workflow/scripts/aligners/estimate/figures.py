"""What a run will take: by a sample of its requests, or without one at most."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aligners.configuration.recipes import load_recipe
from aligners.configuration.schemas import Recipe
from aligners.core.completions import CHARACTERS_PER_TOKEN, Completion, Failure, Prompt
from aligners.estimate.sample import Sample
from aligners.estimate.stages import Stage, question_requests
from aligners.llms.engines.pacing import MINUTE
from aligners.llms.usage import Usage
from aligners.synthesis.questions import parse_questions, question_reason

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True)
class Figures:
    """What one stage will take of one LLM.

    Attributes:
        sampled: completions that tokens and time follow from. Without any, tokens_in is a guess by
            characters, tokens_out the limit of the decoding, and there is no time.
        tokens_per_second: written by one job, all its requests under way together.
        seconds: of one job that sends all requests.
        gpu_hours: its time times the GPUs of the sample; None where there was none.
        cost: by the recipe's prices, in their currency; None without prices.
    """

    stage: str
    llm: str
    engine: str
    requests: int
    sampled: int
    tokens_in: int
    tokens_out: int
    tokens_per_second: float | None
    seconds: float | None
    gpu_hours: float | None
    cost: float | None
    currency: str | None


def bound(stage: Stage) -> Figures:
    """Return what a stage takes at most, if every completion is as long as its limit."""
    lengths = [count_characters(example.prompt) for example in stage.examples]
    mean_length = sum(lengths) / len(lengths)
    return figures(
        stage,
        tokens_in=round(stage.requests * mean_length / CHARACTERS_PER_TOKEN),
        tokens_out=stage.requests * stage.decoding.max_new_tokens,
    )


def project(stage: Stage, sample: Sample) -> Figures:
    """Return what a stage takes if all its requests are like those of the sample."""
    usage = sample.usage
    factor = stage.requests / usage["completions"]
    seconds = max(factor * usage["job_seconds"], least_seconds(stage))
    return replace(
        figures(
            stage,
            tokens_in=round(factor * usage["tokens_in"]),
            tokens_out=round(factor * usage["tokens_out"]),
        ),
        sampled=usage["completions"],
        tokens_per_second=usage["tokens_per_second"],
        seconds=seconds,
        gpu_hours=sample.gpus * seconds / SECONDS_PER_HOUR if sample.gpus else None,
    )


def figures(stage: Stage, tokens_in: int, tokens_out: int) -> Figures:
    """Return the figures that follow from tokens."""
    recipe = load_recipe("llms", stage.llm)
    prices = recipe.get("prices")
    return Figures(
        stage=stage.name,
        llm=stage.llm,
        engine=recipe["engine"],
        requests=stage.requests,
        sampled=0,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        tokens_per_second=None,
        seconds=None,
        gpu_hours=None,
        cost=Usage(prices, tokens_in=tokens_in, tokens_out=tokens_out).cost(),
        currency=prices["currency"] if prices else None,
    )


def least_seconds(stage: Stage) -> float:
    """Return the time that the recipe's limits per minute demand; a sample may be below them."""
    recipe, most = load_recipe("llms", stage.llm), bound(stage)
    by_requests = stage.requests / recipe.get("requests_per_minute", float("inf"))
    # A request counts with its prompt and all tokens that it may write.
    by_tokens = (most.tokens_in + most.tokens_out) / recipe.get("tokens_per_minute", float("inf"))
    return MINUTE * max(by_requests, by_tokens)


def count_characters(prompt: Prompt) -> int:
    """Return the length of a prompt, or of the texts of its messages."""
    if isinstance(prompt, str):
        return len(prompt)
    return sum(len(message["content"]) for message in prompt)


def estimate(
    config: Recipe, stages: Sequence[Stage], samples: Mapping[tuple[str, str], Sample]
) -> list[Figures]:
    """Return the figures of each stage, by its sample where there is one (LLM, stage)."""
    rows = []
    for stage in stages:
        sample = samples.get((stage.llm, stage.name))
        if sample is None:
            rows.append(bound(stage))
            continue
        if stage.name == "questions":
            unanswered = unanswered_share(stage.numbers, sample.results)
            stage = replace(stage, requests=question_requests(config, unanswered))
        rows.append(project(stage, sample))
    return rows


def unanswered_share(
    numbers: Mapping[str, range], results: Mapping[str, Completion | Failure]
) -> float:
    """Return the share of the hints without a question: their line is missing or is none.

    Args:
        numbers: of the lines that each request asks for.
        results: of these requests.
    """
    asked = answered = 0
    for key, result in results.items():
        if isinstance(result, Completion):
            complete = result.finish == "stop"
            found = parse_questions(result.text, numbers[key].start, complete)
            asked += len(numbers[key])
            answered += sum(question_reason(found.get(n, "")) is None for n in numbers[key])
    return 1 - answered / asked


def total(rows: Sequence[Figures]) -> dict[str, Any]:
    """Return the sums over stages; `seconds` and `gpu_hours` of those that have them."""
    costs: dict[str, float] = {}
    for row in rows:
        if row.cost is not None and row.currency:
            costs[row.currency] = costs.get(row.currency, 0.0) + row.cost
    hours = [row.gpu_hours for row in rows if row.gpu_hours is not None]
    return {
        "requests": sum(row.requests for row in rows),
        "tokens_in": sum(row.tokens_in for row in rows),
        "tokens_out": sum(row.tokens_out for row in rows),
        "seconds": sum(row.seconds or 0.0 for row in rows),
        "gpu_hours": sum(hours) if hours else None,
        "costs": costs,
    }
