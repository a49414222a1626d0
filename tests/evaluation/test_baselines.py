"""Responses of LLMs: whole, or as the paper's code made them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gather_responses
import generate_first_responses
import generate_responses as program
import pytest
from fake_engine import FakeEngine
from llama_like import llama_like_tokenizer
from recipes import make_recipe

from aligners.configuration.kinds.llms import LLMRecipe, TransformersRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Completion, Failure
from aligners.core.rows import read_json, read_rows, row_id, write_rows
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
    made = list(generate_responses(Replies(**responses), questions, 0, "", Counter()))  # type: ignore[arg-type]
    assert [row["response"] for row, reason in made if reason is None] == expected
    assert made[-1] == ({"id": "d", "question": "?"}, "timeout")


CODE = "```python\nprint(1)\n```"
# A response, and what an LLM writes.
WRITTEN = [
    ("It is 4.", "<think>\nTwo and two.\n</think>\n\nIt is 4."),
    ("It is 4.", "It is 4.<|im_end|>\n<|im_start|>user\nAnd five?"),
    ("It is 4.", "<think>Hm.</think><answer>It is 4.</answer><|eot_id|>"),
    ("It is 4.", "It is 4.</s>"),
    ("", "<think>\nTwo and two, so"),
    (CODE, f"<think>A program.</think>\n{CODE}"),
    (CODE, CODE),
    ('{"sum": 4}', '{"sum": 4}'),
    ('["a", "b"]', '<think>Hm.</think>["a", "b"]'),
    ("<result>\n  <sum>4</sum>\n</result>", "<result>\n  <sum>4</sum>\n</result>"),
    ("```html\n<p><s>old</s></p>\nnew\n```", "```html\n<p><s>old</s></p>\nnew\n```"),
    ("It is <s>5</s>\n4.", "It is <s>5</s>\n4."),
    ("Assistant: Sit down.\nBob: Why?", "Assistant: Sit down.\nBob: Why?"),
    ("Write:\n```\n<think>\nHm.\n</think>\n```", "Write:\n```\n<think>\nHm.\n</think>\n```"),
    (
        "```python\nf'user: {text}<|im_end|>'\n```\nSo it ends.",
        "```python\nf'user: {text}<|im_end|>'\n```\nSo it ends.",
    ),
    ("Here is the answer: 4.\n\nI hope this helps!",) * 2,
]


def questions_about(texts: Sequence[Any]) -> list[dict[str, str]]:
    """Return a question for each text."""
    return [{"id": row_id(str(n)), "question": f"Is it {n}?"} for n in range(len(texts))]


def test_responses_lose_thoughts_and_special_tokens_and_shards_add_their_counts(
    project: Path, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    questions = questions_about(WRITTEN)
    written = dict(zip([row["id"] for row in questions], WRITTEN, strict=True))
    engine.reply = lambda request, _: Completion(request.id, written[request.id][1], "length")
    write_rows(Path("questions.jsonl"), questions)
    paths = [Path(f"responses/{shard}.jsonl") for shard in range(3)]
    for shard, path in enumerate(paths):
        program.main(
            llm="closed-world-base", inputs=Path("questions.jsonl"), shard=shard, shards=3,
            seed=0, output=path,
        )  # fmt: skip
    gather_responses.main(
        inputs=Path("questions.jsonl"), shards=paths, output=Path("responses.jsonl")
    )
    made = [row["response"] for row in read_rows(Path("responses.jsonl"))]
    assert made == [response for response, _ in WRITTEN]
    counts = {"in": len(WRITTEN), "out": len(WRITTEN), "dropped": {}}
    empty = sum(not response for response, _ in WRITTEN)
    counts |= {"replaced": {"empty_response": empty, "special_token": 2, "thought": 5}}
    # A chat model that is asked as a base model often returns nothing.
    assert f"{empty} of {len(WRITTEN)} responses are empty" in caplog.text
    assert "chat: true" in caplog.text
    assert read_json(Path("responses.counts.json")) == counts


def test_first_responses_lose_thoughts_too(project: Path, engine: FakeEngine) -> None:
    engine.reply = lambda *_: "<think>Hm.</think>Yes."
    write_rows(Path("questions.jsonl"), questions_about(range(2)))
    output = Path("responses/0.jsonl")
    generate_first_responses.main(
        llm="closed-world-base", responses_by=["closed-world-base"],
        questions=[Path("questions.jsonl")], shard=0, shards=1, seed=0, output=output,
    )  # fmt: skip
    assert [row["response"] for row in read_rows(output)] == ["Yes.", "Yes."]
    assert read_json(output.with_suffix(".counts.json"))["replaced"] == {"thought": 2}


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
