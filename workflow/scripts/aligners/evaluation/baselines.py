"""Answers: how an LLM is asked to answer a question, by its recipe."""

from aligners.configuration.schemas import Recipe
from aligners.core.completions import Decoding, Prompt
from aligners.llms.generator import llm_prompt


def answer_prompt(recipe: Recipe, question: str) -> Prompt:
    """Ask for an answer: a chat LLM gets the question, a base LLM its recipe's prompt with it."""
    template: str = recipe["answers"]["prompt"]
    text = question if recipe["chat"] else template.replace("{question}", question)
    return llm_prompt(recipe, text)


def answer_decoding(recipe: Recipe, seed: int) -> Decoding:
    """Return how answers are drawn: greedily, by the LLM's `answers`."""
    return Decoding(
        max_new_tokens=recipe["answers"]["max_new_tokens"],
        repetition_penalty=recipe["answers"]["repetition_penalty"],
        stop=tuple(recipe["answers"]["stop"]),
        seed=seed,
    )
