"""Baselines: responses of an LLM to the test questions, without correction."""

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

from aligners.configuration.kinds.llms import LLMRecipe
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.counts import Filtered
from aligners.core.empty_texts import is_empty
from aligners.core.reasons import EMPTY_RESPONSE
from aligners.core.rows import Row
from aligners.core.sentences import first_of_response
from aligners.llms.cleaning import without_thoughts
from aligners.llms.generator import Generator, llm_prompt


def response_request(llm: LLMRecipe, question: Row) -> Request:
    """Return the request for the response to a question. Its id is the question's id.

    A chat LLM gets the question as a message, after the system message of its recipe if that has
    one. For a base LLM, the recipe has a prompt template.
    """
    template = llm.responses.prompt
    text = question["question"]
    prompt = llm_prompt(llm, text if llm.chat else template.replace("{question}", text))
    if isinstance(prompt, list) and llm.responses.system:
        prompt = [{"role": "system", "content": llm.responses.system}, *prompt]
    return Request(question["id"], prompt)


def response_decoding(llm: LLMRecipe, seed: int) -> Decoding:
    """Return how responses are decoded: by the key `responses` of the LLM's recipe."""
    return Decoding(
        temperature=llm.responses.temperature,
        top_p=llm.responses.top_p,
        top_k=llm.responses.top_k,
        max_new_tokens=llm.responses.max_new_tokens,
        repetition_penalty=llm.responses.repetition_penalty,
        stop=tuple(llm.responses.stop),
        seed=seed,
    )


def generate_responses(
    generator: Generator,
    questions: Sequence[Row],
    seed: int,
    description: str,
    removed: Counter[str],
) -> Iterator[Filtered]:
    """Yield the response to each question, without the LLM's thoughts and special tokens.

    An empty response is kept, also of a thought that reached the limit. If a request fails, its row
    is dropped with the cause.

    Args:
        generator: asks the LLM.
        questions: with `id` and `question`.
        seed: of the completions.
        description: names the questions in the log.
        removed: counts what is removed (`llms.cleaning`), and responses that are empty.
    """
    llm = generator.recipe
    request_for = partial(response_request, llm)
    results = generator.complete(questions, request_for, response_decoding(llm, seed), description)
    for question, result in results:
        yield read_response(llm, question, result, removed)


def read_response(
    llm: LLMRecipe, question: Row, result: Completion | Failure, removed: Counter[str]
) -> Filtered:
    """Return the row of a response, and the reason to drop it or None (`generate_responses`)."""
    row = {"id": question["id"], "question": question["question"]}
    if isinstance(result, Failure):
        return row, result.cause
    shown = first_of_response if llm.responses.first_sentence else str
    response = shown(without_thoughts(result, removed).text.strip())
    removed[EMPTY_RESPONSE] += is_empty(response)
    return {**row, "response": response}, None
