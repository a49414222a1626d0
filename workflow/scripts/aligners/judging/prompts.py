"""How an LLM is asked to compare two answers, by a judge's recipe."""

import re
from pathlib import Path

from aligners.configuration.experiment import JUDGED_TEXTS
from aligners.configuration.schemas import Recipe
from aligners.core.completions import Decoding

# As many as OpenAI's API gives; a label may be spelt in several tokens, of which one counts.
TOP_LOGPROBS = 20


def judge_decoding(recipe: Recipe) -> Decoding:
    """Return how the replies of a judge are drawn: greedily."""
    return Decoding(
        max_new_tokens=recipe["max_new_tokens"],
        top_logprobs=TOP_LOGPROBS if recipe["logprobs"] else 0,
    )


def read_template(recipe: Recipe) -> str:
    """Return what a judge is asked, with a place for the question and for each answer."""
    return Path(recipe["prompt"]).read_text(encoding="utf-8")


def judge_prompt(template: str, question: str, first: str, second: str) -> str:
    """Return a judge's prompt with a question and two answers in their places.

    AlpacaEval fills one place in after the other, so that a text with `{output_2}` in it gets the
    other answer; here it stays as it is.
    """
    texts = dict(zip(JUDGED_TEXTS, (question, first, second), strict=True))
    return re.sub("|".join(map(re.escape, texts)), lambda found: texts[found.group()], template)
