"""The figures of a run: scaled from a sample of its requests, or upper bounds without one."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from aligners.configuration.kinds.config import Config
from aligners.configuration.kinds.llms import LLMRecipe, ServerRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import CHARACTERS_PER_TOKEN, Completion, Failure, Prompt
from aligners.estimate.sample import Sample
from aligners.estimate.stages import Stage, count_question_requests
from aligners.llms.engines.pacing import MINUTE
from aligners.llms.usage import Usage
from aligners.synthesis.questions import NO_HINT, HintGroup, read_lines

SECONDS_PER_HOUR = 3600


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Requests, tokens, time and cost of one stage with one LLM.

    Attributes:
        sampled: number of measured completions. If 0, tokens_in is estimated from the number of
            characters, tokens_out is the limit of the decoding, and times are None.
        tokens_per_second: output tokens of one job that sends all its requests together.
        seconds: time of one job that sends all requests.
        gpu_hours: seconds times the number of GPUs; None if the sample used no GPU.
        cost: at the prices of the LLM's recipe, in their currency; None without prices.
    """

    stage: str
    llm: str
    engine: str
    requests: int
    sampled: int = 0
    tokens_in: int
    tokens_out: int
    tokens_per_second: float | None = None
    seconds: float | None = None
    gpu_hours: float | None = None
    cost: float | None
    currency: str | None


def bound(stage: Stage) -> Figures:
    """Return upper bounds for a stage: every completion is as long as its limit."""
    lengths = [count_characters(example.prompt) for example in stage.examples]
    mean_length = sum(lengths) / len(lengths)
    return figures(
        stage,
        tokens_in=round(stage.requests * mean_length / CHARACTERS_PER_TOKEN),
        tokens_out=stage.requests * stage.decoding.max_new_tokens,
    )


def project(stage: Stage, sample: Sample) -> Figures:
    """Return the figures of a stage if all its requests are like those of the sample."""
    usage = sample.usage
    factor = stage.requests / usage["completions"]
    seconds = max(factor * usage["job_seconds"], least_seconds(stage))
    return figures(
        stage,
        tokens_in=round(factor * usage["tokens_in"]),
        tokens_out=round(factor * usage["tokens_out"]),
        sampled=usage["completions"],
        tokens_per_second=usage["tokens_per_second"],
        seconds=seconds,
        gpu_hours=sample.gpus * seconds / SECONDS_PER_HOUR if sample.gpus else None,
    )


def figures(stage: Stage, tokens_in: int, tokens_out: int, **measured: Any) -> Figures:
    """Return the figures of a stage for these tokens, with the measurements of a sample."""
    recipe = load_recipe(LLMRecipe, stage.llm)
    prices = recipe.token_prices()
    return Figures(
        stage=stage.name,
        llm=stage.llm,
        engine=recipe.engine,
        requests=stage.requests,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
        cost=Usage(prices, tokens_in=tokens_in, tokens_out=tokens_out).cost(),
        currency=prices.currency if prices else None,
        **measured,
    )


def least_seconds(stage: Stage) -> float:
    """Return the shortest time that the recipe's limits per minute allow.

    A sample is often too small to reach the limits.
    """
    recipe, upper = load_recipe(LLMRecipe, stage.llm), bound(stage)
    if not isinstance(recipe, ServerRecipe):
        return 0.0
    by_requests = stage.requests / (recipe.requests_per_minute or float("inf"))
    # Servers count the prompt plus the limit of new tokens, not the generated tokens.
    tokens = upper.tokens_in + upper.tokens_out
    by_tokens = tokens / (recipe.tokens_per_minute or float("inf"))
    return MINUTE * max(by_requests, by_tokens)


def count_characters(prompt: Prompt) -> int:
    """Return the number of characters of a prompt, or of all its messages."""
    if isinstance(prompt, str):
        return len(prompt)
    return sum(len(message["content"]) for message in prompt)


def estimate(
    config: Config, stages: Sequence[Stage], samples: Mapping[tuple[str, str], Sample]
) -> list[Figures]:
    """Return the figures of each stage, from its sample if `samples` has (LLM, stage)."""
    rows = []
    for stage in stages:
        sample = samples.get((stage.llm, stage.name))
        if sample is None:
            rows.append(bound(stage))
            continue
        if stage.name == "questions":
            unanswered = unanswered_share(stage.groups, sample.results)
            stage = replace(stage, requests=count_question_requests(config, unanswered))
        rows.append(project(stage, sample))
    return rows


def unanswered_share(
    groups: Sequence[HintGroup], results: Mapping[str, Completion | Failure]
) -> float:
    """Return the share of hints for which the completions contain no usable question."""
    lines = [
        line
        for group in groups
        if isinstance(result := results[group.request.id], Completion)
        for line in read_lines(group, result, Counter())
        if line.hint is not NO_HINT
    ]
    return 1 - sum(line.reason is None for line in lines) / len(lines)


def total(rows: Sequence[Figures]) -> dict[str, Any]:
    """Return the sums over stages; missing `seconds` and `gpu_hours` are skipped."""
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
