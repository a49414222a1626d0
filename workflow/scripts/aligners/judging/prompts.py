"""The prompts of a judge that is an LLM, by the judge's recipe."""

import re
from collections.abc import Iterable

from aligners.configuration.kinds.judges import JUDGED_TEXTS, LLMJudgeRecipe
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Decoding, Request
from aligners.judging.judged_pairs import ShownTexts
from aligners.llms.generator import digest, llm_prompt

# The most that OpenAI's API returns.
TOP_LOGPROBS = 20


def judge_decoding(recipe: LLMJudgeRecipe) -> Decoding:
    """Return the decoding of a judge's replies, which is greedy."""
    return Decoding(
        max_new_tokens=recipe.max_new_tokens,
        top_logprobs=TOP_LOGPROBS if recipe.logprobs else 0,
    )


def read_template(recipe: LLMJudgeRecipe) -> str:
    """Return the prompt template of a judge, with placeholders for the question and both texts."""
    return recipe.prompt.read_text(encoding="utf-8")


def judge_requests(recipe: LLMJudgeRecipe, shown: Iterable[ShownTexts]) -> list[Request]:
    """Return a request for each entry of `shown`, in order; equal prompts have equal ids."""
    llm, template = load_recipe(LLMRecipe, recipe.llm), read_template(recipe)
    prompts = [judge_prompt(template, *texts) for texts in shown]
    return [Request(digest(prompt), llm_prompt(llm, prompt)) for prompt in prompts]


def judge_prompt(template: str, question: str, first: str, second: str) -> str:
    """Return a judge's prompt template with the question and the two texts filled in.

    All placeholders are replaced at once, so a text that contains `{output_2}` stays as it is.
    AlpacaEval replaces them one after another, and would insert the other text there.
    """
    texts = dict(zip(JUDGED_TEXTS, (question, first, second), strict=True))
    return re.sub("|".join(map(re.escape, texts)), lambda found: texts[found.group()], template)
