"""Our batched generation against that of transformers: padded batches and continuous batching.

The loop over padded batches is the obvious alternative to ours: prompts are sorted by length and
cut into batches by the same token budget, a shared prefix is read once, and each batch runs until
its last row has ended. The model has random weights and never learnt to end a text. So all methods
treat the same share of its tokens as end tokens, and the texts get uneven lengths. The workload
`even` has no end tokens, so all its texts have the same length. Decoding is greedy, in float32.
"""

import random
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from statistics import median
from typing import Any

import torch
from figures import Figure, Figures, at_least
from side_by_side import compare
from texts import load_texts
from transformers import (
    AutoModelForCausalLM,
    ContinuousBatchingConfig,
    DynamicCache,
    GenerationConfig,
)

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.configuration.kinds.training import FromScratch
from aligners.core.completions import Decoding
from aligners.core.rows import Row
from aligners.models.from_scratch import make_causal_model
from aligners.models.pretrained import load_for_inference, load_tokenizer
from aligners.models.row_batch import common_prefix
from aligners.models.text_generation import generate

VOCABULARY = 4000
# About 30 million parameters. With this large range of weights, texts do not repeat themselves.
CONFIG = {"n_layer": 8, "n_embd": 512, "n_head": 8, "n_positions": 2048, "initializer_range": 0.2}
SHAPE = FromScratch(
    model_type="gpt2",
    vocabulary_size=VOCABULARY,
    config={**CONFIG, "tie_word_embeddings": False},
)
TOKENIZER_TEXTS = 2000
ENDS = range(round(0.015 * VOCABULARY))
BATCH_TOKENS = 8192
# Continuous batching: tokens in a page of its cache, and maximum tokens read in one step.
PAGE, READ_AT_ONCE = 64, 2048


@dataclass(frozen=True)
class Workload:
    """Prompts after a shared prefix; lengths are log-uniform from `least` to `most` tokens."""

    least: int
    most: int
    new_tokens: int
    ends: Sequence[int]
    prefix: int = 0
    rows: float = 1.0

    def prompts(self, stream: Iterator[int], count: int) -> list[Row]:
        """Return rows with the token ids of a prompt, taken from a stream of token ids."""
        rng = random.Random(0)
        prefix = list(islice(stream, self.prefix))
        sizes = (round(self.least * (self.most / self.least) ** rng.random()) for _ in range(count))
        return [{"ids": prefix + list(islice(stream, size))} for size in sizes]


WORKLOADS = {
    "even": Workload(95, 105, 100, ()),
    "uneven": Workload(5, 200, 256, ENDS),
    # Only a quarter of the rows, since they are long.
    "shared prefix": Workload(10, 40, 128, ENDS, prefix=1100, rows=0.25),
}


def measure(rows: int = 64) -> Figures:
    """Continue `rows` prompts of each workload with all methods."""
    source, texts = load_texts()
    with tempfile.TemporaryDirectory() as name:
        make_causal_model(SHAPE, texts[:TOKENIZER_TEXTS], Path(name) / "model", seed=0)
        made = ModelSource(name + "/model")
        model: Any = load_for_inference(AutoModelForCausalLM, made, torch.float32)
        tokenizer: Any = load_tokenizer(made)
    stream = chain.from_iterable(tokenizer.encode(text) for text in texts)
    figures = {
        "texts": Figure(source),
        "rows": Figure(rows),
        "million parameters": Figure(model.num_parameters() / 1e6),
    }
    for name, work in WORKLOADS.items():
        prompts = work.prompts(stream, max(2, round(rows * work.rows)))
        own_method = partial(ours, model, tokenizer, work)
        for method, label in ((in_batches, "padded batches"), (paged, "continuous batching")):
            reference = partial(method, model, tokenizer, work)
            rates, theirs, own = compare(prompts, reference, own_method)
            equal = sum(a == b for a, b in zip(theirs, own, strict=True)) / len(prompts)
            figures |= {
                f"{name}, {label}, rows/s": Figure(rates["reference, rows/s"]),
                f"{name}, ratio to {label}": Figure(rates["ratio"]),
                f"{name}, {label}, share of equal texts": Figure(equal, at_least(0.99)),
            }
        sizes = [len(tokenizer.encode(text)) for text in own]
        figures[f"{name}, tokens of a text, median"] = Figure(median(sizes))
        figures[f"{name}, tokens of a text, maximum"] = Figure(max(sizes))
    return figures


def ours(model: Any, tokenizer: Any, work: Workload, rows: Sequence[Row]) -> list[str]:
    """Return the texts of our generation."""
    prompts, decoding = [row["ids"] for row in rows], Decoding(max_new_tokens=work.new_tokens)
    texts = [""] * len(rows)
    for done in generate(model, tokenizer, prompts, decoding, list(work.ends), BATCH_TOKENS):
        texts[done.index] = done.text
    return texts


def paged(model: Any, tokenizer: Any, work: Workload, rows: Sequence[Row]) -> list[str]:
    """Return the texts of continuous batching; its cache has as many tokens as our budget."""
    options = ContinuousBatchingConfig(
        page_size=PAGE, num_blocks=BATCH_TOKENS // PAGE, max_batch_tokens=READ_AT_ONCE
    )
    outputs = model.generate_batch([row["ids"] for row in rows], settings(work), options)
    generated = sorted(outputs.items(), key=lambda item: int(item[0].rsplit("_", 1)[1]))
    return [decode(tokenizer, work, output.generated_tokens) for _, output in generated]


@torch.inference_mode()
def in_batches(model: Any, tokenizer: Any, work: Workload, rows: Sequence[Row]) -> list[str]:
    """Return the texts of `model.generate` in batches, the longest prompts first."""
    texts, waiting = [""] * len(rows), sorted(range(len(rows)), key=lambda n: -len(rows[n]["ids"]))
    prefix = common_prefix([row["ids"] for row in rows]) if work.prefix else []
    cache = DynamicCache(config=model.config)
    if prefix:
        model(torch.tensor([prefix]), past_key_values=cache, logits_to_keep=1)
    while waiting:
        width = len(rows[waiting[0]]["ids"])
        places = waiting[: max(BATCH_TOKENS // (width + work.new_tokens), 1)]
        del waiting[: len(places)]
        ids, mask = pad([rows[n]["ids"] for n in places], width, len(prefix))
        copy = DynamicCache(config=model.config)
        for n, layer in enumerate(cache.layers if prefix else ()):
            # (1, heads, prefix, head size) -> (rows, heads, prefix, head size)
            states = (each.expand(len(places), -1, -1, -1) for each in (layer.keys, layer.values))
            copy.update(*states, n)
        generated = model.generate(
            ids, settings(work), attention_mask=mask, past_key_values=copy if prefix else None
        )
        for place, new in zip(places, generated[:, width:].tolist(), strict=True):
            texts[place] = decode(tokenizer, work, new)
    return texts


def pad(prompts: list[list[int]], width: int, shared: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return token ids and mask, shape (rows, width), with padding after the shared prefix."""
    gaps = [[0] * (width - len(prompt)) for prompt in prompts]
    pairs = list(zip(prompts, gaps, strict=True))
    ids = torch.tensor([prompt[:shared] + gap + prompt[shared:] for prompt, gap in pairs])
    return ids, torch.tensor([[1] * shared + gap + [1] * (len(p) - shared) for p, gap in pairs])


def settings(work: Workload) -> GenerationConfig:
    """Return the generation settings for transformers; the end token -1 never occurs."""
    ends = list(work.ends) or -1
    return GenerationConfig(
        max_new_tokens=work.new_tokens, do_sample=False, eos_token_id=ends, pad_token_id=0
    )


def decode(tokenizer: Any, work: Workload, ids: list[int]) -> str:
    """Return the text of the generated tokens before the first end token."""
    end = next((place for place, token in enumerate(ids) if token in work.ends), len(ids))
    return str(
        tokenizer.decode(ids[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    )
