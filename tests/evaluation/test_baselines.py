"""Responses of LLMs: whole, or as the paper's code made them."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from llama_like import llama_like_tokenizer
from recipes import make_recipe

from aligners.configuration.kinds.llms import LLMRecipe, TransformersRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Completion, Failure
from aligners.evaluation.baselines import generate_responses, response_request
from aligners.llms.engines.transformers import encode

REPLIES = {"a": " Oh! It is 3.14. Yes.\n", "b": " Why? It is 3.14. ", "c": "No stop"}


class Replies:
    """Completes each row with a fixed text."""

    def __init__(self, **responses: Any):
        self.recipe = make_recipe(
            LLMRecipe, engine="openai", model="m", endpoint="http://host/v1", responses=responses
        )

    def complete(self, rows: Sequence[Any], *_: Any) -> Iterator[tuple[Any, Any]]:
        for row in rows:
            yield row, Completion(row["id"], REPLIES[row["id"]], "stop")
        yield {"id": "d", "question": "?"}, Failure("d", "timeout", "too late")


@pytest.mark.parametrize(
    ("responses", "expected"),
    [
        ({}, ["Oh! It is 3.14. Yes.", "Why? It is 3.14.", "No stop"]),
        ({"first_sentence": True}, ["Oh!", "Why? It is 3.", "No stop"]),
    ],
)
def test_a_response_is_whole_unless_only_its_first_sentence_is_asked_for(
    responses: dict[str, Any], expected: list[str]
) -> None:
    questions = [{"id": name, "question": "?"} for name in REPLIES]
    made = list(generate_responses(Replies(**responses), questions, 0, ""))  # type: ignore[arg-type]
    assert [row["response"] for row, reason in made if reason is None] == expected
    assert made[-1] == ({"id": "d", "question": "?"}, "timeout")


@pytest.mark.parametrize("name", ["falcon-40b-paper", "llama-2-13b-paper", "llama-2-70b-paper"])
def test_in_the_paper_the_finetuned_llm_gets_the_prompt_of_the_base_llm(
    in_the_project: None, name: str
) -> None:
    base = load_recipe(TransformersRecipe, name)
    partner = load_recipe(TransformersRecipe, str(base.finetuned))
    tokenizer = llama_like_tokenizer()
    if "falcon" in name:  # its tokenizer has no start token
        tokenizer.backend_tokenizer.post_processor = None
    question = {"id": "1", "question": "What is a {tag}?"}
    expected = encode(tokenizer, response_request(base, question).prompt, chat=False)
    tokenizer.chat_template = partner.chat_template
    assert encode(tokenizer, response_request(partner, question).prompt, chat=True) == expected
