"""Generation: the same text alone and in a batch, and an end where the model ends."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import SHAPES, load, make_model

from aligners.engines import Decoding
from aligners.text_generation import generate

PROMPTS = ["What is the colour?", "Please tell me.", "It is the old tower, they say. Truly.", "sea"]


@pytest.fixture(scope="module", params=SHAPES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return load(make_model(request.param, tmp_path_factory.mktemp("model") / request.param))


def texts(loaded: Any, decoding: Decoding, batch_tokens: int, **options: Any) -> dict[int, Any]:
    """Generate for the prompts and return (text, finish) by index."""
    model, tokenizer = loaded
    prompts = [tokenizer.encode(prompt) for prompt in PROMPTS]
    ends = options.pop("end_token_ids", [tokenizer.eos_token_id])
    generated = generate(model, tokenizer, prompts, decoding, ends, batch_tokens, **options)
    return {index: (text, finish) for index, text, finish in generated}


@pytest.mark.parametrize("penalty", [1.0, 1.7])
def test_greedy_text_is_that_of_transformers_and_does_not_depend_on_the_batch(
    loaded: Any, penalty: float
) -> None:
    model, tokenizer = loaded
    decoding = Decoding(max_new_tokens=20, repetition_penalty=penalty)
    alone, together = texts(loaded, decoding, 1), texts(loaded, decoding, 10_000)
    assert alone == together
    for index, prompt in enumerate(PROMPTS):
        ids = torch.tensor([tokenizer.encode(prompt)])
        expected = model.generate(
            ids, max_new_tokens=20, do_sample=False, repetition_penalty=penalty
        )
        text = tokenizer.decode(expected[0, ids.shape[1] :], skip_special_tokens=True)
        assert together[index][0] == text


def test_rows_that_end_leave_and_the_others_go_on(loaded: Any) -> None:
    model, tokenizer = loaded
    free = texts(loaded, Decoding(max_new_tokens=20), 10_000)
    # Let an early token of the first row be an end: it stops there, the others where they meet it.
    prompt = torch.tensor([tokenizer.encode(PROMPTS[0])])
    end = model.generate(prompt, max_new_tokens=20, do_sample=False)[0, prompt.shape[1] + 3].item()
    ended = texts(loaded, Decoding(max_new_tokens=20), 10_000, end_token_ids=[end])
    assert ended[0][1] == "stop"
    for index, (text, finish) in ended.items():
        # A character of several bytes may be cut in two where the text ends.
        assert free[index][0].startswith(text.rstrip("\ufffd"))
        assert finish == "stop" or text == free[index][0]


def test_a_text_is_cut_before_the_first_stop_string(loaded: Any) -> None:
    free = texts(loaded, Decoding(max_new_tokens=20), 10_000)
    stop = free[0][0][6:9]
    cut = texts(loaded, Decoding(max_new_tokens=20, stop=(stop, "\x00")), 10_000)
    assert cut[0] == (free[0][0][: free[0][0].index(stop)], "stop")


def test_samples_depend_on_seed_and_key_only(loaded: Any) -> None:
    decoding = Decoding(max_new_tokens=12, temperature=1.0, seed=1)
    keys = ["a", "b", "c", "d"]
    alone, together = (texts(loaded, decoding, size, keys=keys) for size in (1, 10_000))
    assert alone == together
    other_seed = Decoding(max_new_tokens=12, temperature=1.0, seed=2)
    assert texts(loaded, other_seed, 10_000, keys=keys) != together
    assert texts(loaded, decoding, 10_000, keys=["z", *keys[1:]])[1] == together[1]


def test_a_low_temperature_is_greedy(loaded: Any) -> None:
    greedy = texts(loaded, Decoding(max_new_tokens=12), 10_000)
    assert texts(loaded, Decoding(max_new_tokens=12, temperature=1e-4), 10_000) == greedy


def test_a_prompt_that_fills_the_context_has_an_empty_text(tmp_path: Path) -> None:
    model, tokenizer = load(make_model("gpt2", tmp_path / "gpt2", n_positions=16))
    prompts = [[5] * 16, [5] * 10, [5] * 40]
    generated = generate(model, tokenizer, prompts, Decoding(max_new_tokens=50), [], 1000)
    found = {index: (text, finish) for index, text, finish in generated}
    assert found[0] == found[2] == ("", "length")
    assert found[1][1] == "length" and found[1][0]
