"""The prompts with which an LLM compares two texts, by a judge's recipe."""

import re
from collections.abc import Iterable

from aligners.configuration.kinds.judges import JUDGED_TEXTS, LLMJudgeRecipe
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Decoding, Request
from aligners.judging.judged_pairs import Shown
from aligners.llms.generator import digest, llm_prompt

# The most that OpenAI's API returns; of a label with several tokens, one counts.
TOP_LOGPROBS = 20


def judge_decoding(recipe: LLMJudgeRecipe) -> Decoding:
    """Return the decoding of a judge's replies: greedy."""
    return Decoding(
        max_new_tokens=recipe.max_new_tokens,
        top_logprobs=TOP_LOGPROBS if recipe.logprobs else 0,
    )


def read_template(recipe: LLMJudgeRecipe) -> str:
    """Return the prompt of a judge, with a place for the question and for each text."""
    return recipe.prompt.read_text(encoding="utf-8")


def judge_requests(recipe: LLMJudgeRecipe, shown: Iterable[Shown]) -> list[Request]:
    """Return the request for each pair, in order; equal prompts have equal ids."""
    llm, template = load_recipe(LLMRecipe, recipe.llm), read_template(recipe)
    prompts = [judge_prompt(template, *texts) for texts in shown]
    return [Request(digest(prompt), llm_prompt(llm, prompt)) for prompt in prompts]


def judge_prompt(template: str, question: str, first: str, second: str) -> str:
    """Return a judge's prompt with a question and two answers in their places.

    AlpacaEval fills the places one after another: a text that contains `{output_2}` would get the
    other text inserted. Here it stays as it is.
    """
    texts = dict(zip(JUDGED_TEXTS, (question, first, second), strict=True))
    return re.sub("|".join(map(re.escape, texts)), lambda found: texts[found.group()], template)
