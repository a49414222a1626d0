"""Generation: rows have the same text alone and in a batch, and end at the right token."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tiny_models import QUESTIONS, SHAPES, load, make_model
from transformers import TopKLogitsWarper, TopPLogitsWarper

from aligners.configuration.kinds.training import FromScratch
from aligners.core.completions import Decoding
from aligners.core.errors import UserError
from aligners.models import row_batch, text_generation
from aligners.models.from_scratch import make_causal_model
from aligners.models.text_generation import GeneratedText, generate, keep_likeliest

PROMPTS = ["What is the colour?", "Please tell me.", "It is the old tower, they say. Truly.", "sea"]
# About 75 tokens, more than MIN_PREFIX_TOKENS.
SHARED = "What is the colour of the old tower, they say? Truly. Please tell me. " * 4
WITH_SHARED = [SHARED + prompt for prompt in PROMPTS]
# A shape with rotary positions and grouped keys, like Llama and Mistral.
GROUPED = {**SHAPES["phi"], "num_key_value_heads": 1}
MORE_SHAPES = {
    "llama": GROUPED,
    "mistral": {**GROUPED, "sliding_window": 300},
}
UNUSUAL_SHAPES = {
    "lfm2": {**GROUPED, "layer_types": ["conv", "full_attention"]},
    "mamba": {"num_hidden_layers": 2, "hidden_size": 32, "state_size": 8},
}


def make(model_type: str, directory: Path, **config: Any) -> Any:
    """Return a tiny model and its tokenizer."""
    if model_type in SHAPES:
        return load(make_model(model_type, directory, **config))
    shape = {**(MORE_SHAPES | UNUSUAL_SHAPES)[model_type], **config}
    made = FromScratch(model_type=model_type, vocabulary_size=400, config=shape)
    make_causal_model(made, [*QUESTIONS, *PROMPTS] * 20, directory, seed=0)
    return load(directory)


@pytest.fixture(scope="module", params=[*SHAPES, *MORE_SHAPES])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return make(request.param, tmp_path_factory.mktemp("model") / request.param)


def run(
    loaded: Any, decoding: Decoding, batch_tokens: int, prompts: list[str], **options: Any
) -> list[GeneratedText]:
    """Generate for the prompts, and return the texts in the order in which they end."""
    model, tokenizer = loaded
    ids = [tokenizer.encode(prompt) for prompt in prompts]
    ends = options.pop("end_token_ids", [tokenizer.eos_token_id])
    return list(generate(model, tokenizer, ids, decoding, ends, batch_tokens, **options))


def texts(
    loaded: Any,
    decoding: Decoding,
    batch_tokens: int,
    prompts: list[str] = PROMPTS,
    **options: Any,
) -> dict[int, Any]:
    """Generate for the prompts, and return (text, finish) by index."""
    rows = run(loaded, decoding, batch_tokens, prompts, **options)
    return {row.index: (row.text, row.finish) for row in rows}


Inputs = dict[str, Any]


@contextmanager
def watched(model: Any, watch: Callable[[Inputs], None]) -> Iterator[None]:
    """Call a function with the inputs of each forward pass."""
    hook = model.register_forward_pre_hook(lambda _, __, inputs: watch(inputs), with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


@pytest.mark.parametrize("penalty", [1.0, 1.7])
def test_greedy_text_equals_that_of_transformers_in_any_batch(loaded: Any, penalty: float) -> None:
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


def test_rows_end_at_an_end_token_and_the_others_continue(loaded: Any) -> None:
    model, tokenizer = loaded
    free = texts(loaded, Decoding(max_new_tokens=20), 10_000)
    # An early token of the first row becomes the end token of all rows.
    prompt = torch.tensor([tokenizer.encode(PROMPTS[0])])
    end = model.generate(prompt, max_new_tokens=20, do_sample=False)[0, prompt.shape[1] + 3].item()
    ended = texts(loaded, Decoding(max_new_tokens=20), 10_000, end_token_ids=[end])
    assert ended[0][1] == "stop"
    for index, (text, finish) in ended.items():
        # The text may end within a character of several bytes.
        assert free[index][0].startswith(text.rstrip("\ufffd"))
        assert finish == "stop" or text == free[index][0]


def test_a_text_is_cut_before_the_first_stop_string(loaded: Any) -> None:
    free = texts(loaded, Decoding(max_new_tokens=20), 10_000)
    stop = free[0][0][6:9]
    cut = texts(loaded, Decoding(max_new_tokens=20, stop=(stop, "\x00")), 10_000)
    assert cut[0] == (free[0][0][: free[0][0].index(stop)], "stop")


def test_samples_depend_only_on_seed_and_key(loaded: Any) -> None:
    decoding = Decoding(max_new_tokens=12, temperature=1.0, seed=1)
    keys = ["a", "b", "c", "d"]
    alone, together = (texts(loaded, decoding, size, keys=keys) for size in (1, 10_000))
    assert alone == together
    other_seed = Decoding(max_new_tokens=12, temperature=1.0, seed=2)
    assert texts(loaded, other_seed, 10_000, keys=keys) != together
    assert texts(loaded, decoding, 10_000, keys=["z", *keys[1:]])[1] == together[1]


def test_a_low_temperature_gives_greedy_text(loaded: Any) -> None:
    greedy = texts(loaded, Decoding(max_new_tokens=12), 10_000)
    assert texts(loaded, Decoding(max_new_tokens=12, temperature=1e-4), 10_000) == greedy


@pytest.mark.parametrize(("top_k", "top_p"), [(3, None), (None, 0.6), (5, 0.9), (500, 1.0)])
def test_top_k_and_top_p_keep_the_tokens_that_transformers_keeps(
    top_k: int | None, top_p: float | None
) -> None:
    logits = torch.randn(8, 40, generator=torch.Generator().manual_seed(0)) * 2
    expected = logits
    if top_k is not None:
        expected = TopKLogitsWarper(top_k)(None, expected)
    if top_p is not None:
        expected = TopPLogitsWarper(top_p)(None, expected)
    assert torch.equal(keep_likeliest(logits, top_k, top_p), expected)


def test_only_the_likeliest_tokens_are_drawn(loaded: Any) -> None:
    greedy = texts(loaded, Decoding(max_new_tokens=12), 10_000)
    free = Decoding(max_new_tokens=12, temperature=1.5)
    assert texts(loaded, free, 10_000) != greedy
    assert texts(loaded, replace(free, top_k=1), 10_000) == greedy
    assert texts(loaded, replace(free, top_p=1e-6), 10_000) == greedy
    alone, together = (texts(loaded, replace(free, top_k=3), size) for size in (1, 10_000))
    assert alone == together


def test_a_text_ends_when_the_context_is_full_and_the_others_continue(loaded: Any) -> None:
    model, tokenizer = loaded
    ids = [[5] * 253, *(tokenizer.encode(prompt) for prompt in PROMPTS)]
    decoding = Decoding(max_new_tokens=20)
    rows = {row.index: row for row in generate(model, tokenizer, ids, decoding, [], 10_000)}
    assert (rows[0].finish, rows[0].tokens) == ("length", 3)
    free = texts(loaded, decoding, 1, end_token_ids=[])
    assert {index - 1: (row.text, row.finish) for index, row in rows.items() if index} == free


def test_tokens_and_seconds_are_counted(loaded: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_batch, "time", SimpleNamespace(monotonic=lambda: 100.0))
    monkeypatch.setattr(text_generation, "time", SimpleNamespace(monotonic=lambda: 102.5))
    rows = run(loaded, Decoding(max_new_tokens=20), 10_000, PROMPTS)
    assert len(rows) == len(PROMPTS)
    for row in rows:
        assert row.tokens == 20 if row.finish == "length" else row.tokens < 20
        assert row.seconds == 2.5


GREEDY = Decoding(max_new_tokens=20, repetition_penalty=1.7)
SAMPLED = Decoding(max_new_tokens=20, temperature=1.0, seed=1)


@pytest.mark.parametrize(
    ("decoding", "batch_tokens"), [(GREEDY, 1), (SAMPLED, 350), (GREEDY, 10_000)]
)
def test_a_shared_prefix_is_computed_once_and_changes_no_text(
    loaded: Any, decoding: Decoding, batch_tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, tokenizer = loaded
    prompts = [tokenizer.encode(prompt) for prompt in WITH_SHARED]
    prefix = next(n for n, tokens in enumerate(zip(*prompts, strict=False)) if len(set(tokens)) > 1)
    passes: list[torch.Size] = []
    with watched(model, lambda inputs: passes.append(inputs["input_ids"].shape)):
        shared = texts(loaded, decoding, batch_tokens, WITH_SHARED)
    assert passes[0] == (1, prefix)
    assert all(width <= max(map(len, prompts)) - prefix for _, width in passes[1:])
    monkeypatch.setattr(row_batch, "MIN_PREFIX_TOKENS", 1000)
    assert shared == texts(loaded, decoding, batch_tokens, WITH_SHARED)


def test_a_prompt_that_equals_the_prefix_keeps_a_token_to_continue_from(loaded: Any) -> None:
    decoding = Decoding(max_new_tokens=20)
    alone = texts(loaded, decoding, 1, [SHARED])[0]
    assert texts(loaded, decoding, 10_000, [SHARED, SHARED]) == {0: alone, 1: alone}


def without_positions(loaded: Any) -> Any:
    """Return a model that does not accept position ids, as some do not."""
    model, tokenizer = loaded
    forward = model.forward

    def without(input_ids: Any, attention_mask: Any, past_key_values: Any, use_cache: bool) -> Any:
        return forward(input_ids, attention_mask, None, past_key_values, use_cache=use_cache)

    model.forward = without
    return model, tokenizer


WITHOUT_PREFIX = {
    "a short window": (lambda path: make("mistral", path, sliding_window=50), WITH_SHARED),
    "a recurrent state": (lambda path: make("lfm2", path), WITH_SHARED),
    "no positions": (lambda path: without_positions(make("llama", path)), WITH_SHARED[:1] * 4),
}


@pytest.mark.parametrize("name", WITHOUT_PREFIX)
def test_a_model_that_cannot_share_a_prefix_reads_whole_prompts(name: str, tmp_path: Path) -> None:
    make_it, prompts = WITHOUT_PREFIX[name]
    model, tokenizer = make_it(tmp_path / "model")
    decoding = Decoding(max_new_tokens=20, temperature=1.0)
    options = {"prompts": prompts, "end_token_ids": range(5, len(tokenizer), 10)}
    passes: list[torch.Size] = []
    with watched(model, lambda inputs: passes.append(inputs["input_ids"].shape)):
        together = texts((model, tokenizer), decoding, 10_000, **options)
    assert passes[0] == (4, max(len(tokenizer.encode(prompt)) for prompt in prompts))
    # Rows left the batch at different steps.
    assert len({rows for rows, _ in passes}) > 1
    assert together == texts((model, tokenizer), decoding, 1, **options)


def test_a_model_without_a_key_value_cache_is_an_error(tmp_path: Path) -> None:
    loaded = make("mamba", tmp_path / "mamba")
    with pytest.raises(UserError, match=r"\bmamba\b.*past_key_values"):
        texts(loaded, Decoding(max_new_tokens=5), 10_000)


class SmallMemory:
    """Simulates memory for a number of rows; more rows fail when they have `tokens` tokens."""

    def __init__(self, rows: int, error: Callable[[], Exception], tokens: int = 0):
        self.rows, self.error, self.tokens = rows, error, tokens
        self.failed: list[int] = []
        self.caches: list[weakref.ref[Any]] = []

    def __call__(self, inputs: Inputs) -> None:
        """Fail if there are too many rows; check that earlier attempts have freed their memory."""
        rows, cache = len(inputs["input_ids"]), inputs["past_key_values"]
        assert all(reference() is None for reference in self.caches)
        if rows > self.rows and inputs["attention_mask"].shape[1] >= self.tokens:
            self.failed.append(rows)
            self.caches.append(weakref.ref(cache))
            raise self.error()


ERRORS = {
    "gpu": partial(torch.OutOfMemoryError, "CUDA out of memory"),
    "processor": partial(RuntimeError, "[enforce fail] DefaultCPUAllocator: can't allocate memory"),
}


@pytest.mark.parametrize(
    ("decoding", "error", "later"),
    [(GREEDY, "gpu", False), (SAMPLED, "processor", True), (SAMPLED, "gpu", False)],
)
def test_a_batch_that_does_not_fit_in_memory_continues_in_halves(
    loaded: Any, decoding: Decoding, error: str, later: bool
) -> None:
    model, tokenizer = loaded
    # The first row has space for three tokens in the context of 256, the others for all 20.
    ids = [(tokenizer.encode(SHARED) * 9)[:253]]
    ids += [
        tokenizer.encode(SHARED + word) for word in ("red", "tower", "old tower", "lamp", "sea")
    ]
    expected = {row.index: row.text for row in generate(model, tokenizer, ids, decoding, [], 9999)}
    memory = SmallMemory(2, ERRORS[error], tokens=253 + 5 if later else 0)
    found, before = {}, []
    with watched(model, memory):
        for row in generate(model, tokenizer, ids, decoding, [], 9999):
            assert row.index not in found
            found[row.index] = row.text
            if not memory.failed:
                before.append(row.index)
    assert found == expected
    assert memory.failed
    assert before == ([0] if later else [])


def test_the_prefix_is_computed_again_if_it_did_not_fit_in_memory(loaded: Any) -> None:
    expected = texts(loaded, Decoding(max_new_tokens=5), 10_000, WITH_SHARED)
    errors = [ERRORS["gpu"]()]

    def fail_once(module: Any, inputs: Any, output: Any) -> None:
        if errors:
            raise errors.pop()

    hook = loaded[0].register_forward_hook(fail_once)
    found = texts(loaded, Decoding(max_new_tokens=5), 10_000, WITH_SHARED)
    hook.remove()
    assert (found, errors) == (expected, [])


def test_a_batch_size_that_did_not_fit_is_not_tried_again(loaded: Any) -> None:
    memory = SmallMemory(3, ERRORS["gpu"])
    with watched(loaded[0], memory):
        assert len(texts(loaded, Decoding(max_new_tokens=5), 10_000, PROMPTS[:1] * 16)) == 16
    assert memory.failed == [16, 8, 4]


def test_a_single_row_that_does_not_fit_in_memory_is_a_user_error(loaded: Any) -> None:
    model, tokenizer = loaded
    tokens = len(tokenizer.encode(PROMPTS[2])) + 20
    with (
        watched(model, SmallMemory(0, ERRORS["processor"])),
        pytest.raises(UserError, match=rf"\b{tokens} tokens.*max_new_tokens"),
    ):
        texts(loaded, Decoding(max_new_tokens=20), 10_000)


def test_other_errors_of_the_model_are_raised(loaded: Any) -> None:
    error = partial(RuntimeError, "sizes do not match")
    with watched(loaded[0], SmallMemory(1, error)), pytest.raises(RuntimeError, match="sizes"):
        texts(loaded, Decoding(max_new_tokens=20), 10_000)


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_model_whose_activations_overflow_is_a_user_error(
    tmp_path: Path, temperature: float
) -> None:
    model, tokenizer = make("gpt2", tmp_path / "model")
    # The weights are finite, but the first layer computes infinite sums.
    torch.nn.init.constant_(model.transformer.wte.weight, 3e38)
    decoding = Decoding(max_new_tokens=5, temperature=temperature)
    with pytest.raises(UserError, match=rf"{model.name_or_path}.* NaN .*float32.*dtype"):
        texts((model, tokenizer), decoding, 10_000)
