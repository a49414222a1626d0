"""Previews of responses: of the test LLMs, and first responses of pairs."""

from collections import Counter
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from aligners.configuration import results
from aligners.configuration.kinds.config import Config
from aligners.configuration.kinds.datasets import DatasetRecipe, TableRecipe
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.rows import Row
from aligners.evaluation.baselines import read_response, response_decoding, response_request
from aligners.evaluation.test_inputs import import_dataset
from aligners.preview.asking import SHARD, Ask, Batch
from aligners.preview.exchange import Exchange, StagePreview


def local_questions(config: Config, count: int) -> tuple[str, list[Row]]:
    """Return the first questions of the first data set that is a local table, after its name.

    Without such a data set, return no questions, and the first data set's name.
    """
    for name in config.datasets:
        recipe = load_recipe(DatasetRecipe, name)
        if isinstance(recipe, TableRecipe) and recipe.path is not None:
            kept = (row for row, reason in import_dataset(name, recipe) if reason is None)
            return name, list(islice(kept, count))
    return config.datasets[0], []


def preview_responses(
    config: Config, llm: str, dataset: str, questions: Sequence[Row], ask: Ask
) -> StagePreview:
    """Preview the responses of a test LLM."""
    output = results.RESPONSES_SHARD.path(dataset=dataset, llm=llm, shard=SHARD)
    batch = responses_batch("responses", llm, output, questions, config.seed)
    return read_responses(batch, questions, ask)


def responses_batch(
    stage: str, llm: str, output: Path, questions: Sequence[Row], seed: int
) -> Batch:
    """Return the requests for responses to questions."""
    recipe = load_recipe(LLMRecipe, llm)
    requests = [response_request(recipe, question) for question in questions]
    return Batch(stage, llm, output, requests, response_decoding(recipe, seed))


def read_responses(batch: Batch, questions: Sequence[Row], ask: Ask) -> StagePreview:
    """Ask for responses to questions, and read them."""
    reply, recipe = ask(batch), load_recipe(LLMRecipe, batch.llm)
    exchanges = []
    for question, request in zip(questions, batch.requests, strict=True):
        removed, result = Counter[str](), reply.results[request.id]
        response = read_response(recipe, question, result, removed)
        exchanges.append(Exchange(request.prompt, result, [response], removed))
    return StagePreview(batch.stage, batch.llm, exchanges, reply.usage)
