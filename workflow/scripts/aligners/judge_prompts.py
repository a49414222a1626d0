"""How an LLM is asked to compare two answers, by a judge's recipe."""

from pathlib import Path

from aligners.engines import Decoding
from aligners.recipes import JUDGED_TEXTS, Recipe

# As many as OpenAI's API gives; a label may be spelt in several tokens, of which one counts.
TOP_LOGPROBS = 20


def judge_decoding(recipe: Recipe) -> Decoding:
    """Return how the replies of a judge are drawn: greedily."""
    return Decoding(
        max_new_tokens=recipe["max_new_tokens"],
        top_logprobs=TOP_LOGPROBS if recipe["logprobs"] else 0,
    )


def judge_prompt(recipe: Recipe, question: str, first: str, second: str) -> str:
    """Return a judge's prompt with a question and two answers, as AlpacaEval fills it in."""
    text = Path(recipe["prompt"]).read_text(encoding="utf-8")
    for place, value in zip(JUDGED_TEXTS, (question, first, second), strict=True):
        text = text.replace(place, value, 1)
    return text
