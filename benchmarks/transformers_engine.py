"""The transformers engine against a plain loop over padded batches, and its shared prefix.

The model has random weights, so nothing in it says when an answer is over. A small share of
its tokens is declared to end a text, for all ways alike; they come up at uneven lengths. All is
greedy, in float32, on the same prompts.
"""

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch
from figures import Figure, Figures, at_least
from side_by_side import compare
from texts import load_texts, make_rows
from transformers import AutoModelForCausalLM, GenerationConfig

from aligners.configuration.criteria import load_principles
from aligners.core.completions import Completion, Decoding, Engine, Request
from aligners.core.rows import Row
from aligners.llms.engines import load_engine
from aligners.llms.engines.transformers import end_token_ids
from aligners.models import row_batch
from aligners.models.from_scratch import make_causal_model
from aligners.models.pretrained import load_for_inference, load_tokenizer
from aligners.synthesis.pairs import pairs_prompt

# About 30 million parameters. With weights this far apart, texts do not run in short circles.
SHAPE = {
    "model_type": "gpt2",
    "vocabulary_size": 4000,
    "config": {
        "n_layer": 8,
        "n_embd": 512,
        "n_head": 8,
        "n_positions": 4096,
        "initializer_range": 0.2,
        "tie_word_embeddings": False,
    },
}
TOKENIZER_TEXTS = 5000
BATCH_TOKENS = 32_768
DECODING = Decoding(max_new_tokens=256)
END_SHARE = 0.015
REFERENCE_BATCH = 16
# The criterion whose prompts for pairs share a prefix; they are long, hence fewer.
CRITERION = "ethical"
SHARE_WITH_PREFIX = 0.25


def measure(rows: int = 64) -> Figures:
    """Complete `rows` prompts with the loop and the engine; then fewer, which share a prefix."""
    source, texts = load_texts()
    made = make_rows(texts, rows)
    principles = load_principles(CRITERION)
    uneven = [
        {"id": str(n), "prompt": f"{r['question']}\n{r['response']}\n"} for n, r in enumerate(made)
    ]
    pairs = [
        {"id": str(n), "prompt": pairs_prompt(principles, row["question"], chat=False)}
        for n, row in enumerate(made[: max(2, round(SHARE_WITH_PREFIX * rows))])
    ]
    with tempfile.TemporaryDirectory() as name:
        recipe = {
            "engine": "transformers",
            "model": name + "/model",
            "chat": False,
            "dtype": "float32",
            "batch_tokens": BATCH_TOKENS,
        }
        make_model(Path(recipe["model"]), [*texts[:TOKENIZER_TEXTS], pairs[0]["prompt"]])
        engine, loop = load_engine(recipe), PaddedLoop(recipe)

    def ours(rows: Sequence[Row]) -> list[Completion]:
        return complete(engine, rows)

    def without_sharing(rows: Sequence[Row]) -> list[Completion]:
        with patch.object(row_batch, "SHARED_LEAST", math.inf):
            return complete(engine, rows)

    rates, theirs, own = compare(uneven, loop, ours)
    prefix_rates, apart, together = compare(pairs, without_sharing, ours)
    tokens_in, tokens_out = (
        [getattr(c, name) for c in own] for name in ("tokens_in", "tokens_out")
    )
    prefix = row_batch.shared_ids([loop.tokenizer.encode(row["prompt"]) for row in pairs])
    return {
        "texts": Figure(source),
        "rows": Figure(rows),
        "million parameters": Figure(loop.model.num_parameters() / 1e6),
        "tokens of a prompt, median": Figure(median(tokens_in)),
        "tokens of a prompt, most": Figure(max(tokens_in)),
        "tokens of an answer, median": Figure(median(tokens_out)),
        "tokens of an answer, most": Figure(max(tokens_out)),
        "loop, rows/s": Figure(rates["reference, rows/s"]),
        "engine, rows/s": Figure(rates["ours, rows/s"]),
        "ratio": Figure(rates["ratio"], at_least(2.5)),
        "share of equal texts": Figure(equal_share(theirs, [c.text for c in own]), at_least(0.99)),
        "rows with a shared prefix": Figure(len(pairs)),
        "tokens of the prefix": Figure(len(prefix)),
        "prefix in each row, rows/s": Figure(prefix_rates["reference, rows/s"]),
        "prefix computed once, rows/s": Figure(prefix_rates["ours, rows/s"]),
        "ratio with a shared prefix": Figure(prefix_rates["ratio"]),
        "share of equal texts with a shared prefix": Figure(
            equal_share([c.text for c in apart], [c.text for c in together]), at_least(0.99)
        ),
    }


def make_model(directory: Path, texts: list[str]) -> None:
    """Write a model with random weights that ends its texts with a share of its tokens."""
    make_causal_model(SHAPE, texts, directory, seed=0)
    config = GenerationConfig.from_pretrained(directory)
    config.eos_token_id = list(range(round(END_SHARE * SHAPE["vocabulary_size"])))
    config.save_pretrained(directory)


def complete(engine: Engine, rows: Sequence[Row]) -> list[Completion]:
    """Return the engine's completions in the order of the rows."""
    requests = (Request(row["id"], row["prompt"]) for row in rows)
    completions: dict[str, Any] = {done.id: done for done in engine(requests, DECODING)}
    return [completions[row["id"]] for row in rows]


def equal_share(texts: list[str], others: list[str]) -> float:
    """Return the share of texts that are the same in both lists."""
    return sum(a == b for a, b in zip(texts, others, strict=True)) / len(texts)


class PaddedLoop:
    """Completes batches in the order of the rows, each until its last row has ended."""

    def __init__(self, recipe: dict[str, Any]):
        """Load the model of a recipe as the engine does."""
        self.tokenizer: Any = load_tokenizer(recipe)
        self.tokenizer.padding_side = "left"
        self.model: Any = load_for_inference(AutoModelForCausalLM, recipe, torch.float32)
        self.ends = set(end_token_ids(self.model, self.tokenizer))

    @torch.inference_mode()
    def __call__(self, rows: Sequence[Row]) -> list[str]:
        """Return the texts for the rows."""
        texts = []
        for start in range(0, len(rows), REFERENCE_BATCH):
            prompts = [row["prompt"] for row in rows[start : start + REFERENCE_BATCH]]
            batch = self.tokenizer(prompts, padding=True, return_tensors="pt").to(self.model.device)
            generated = self.model.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=DECODING.max_new_tokens,
                do_sample=False,
                eos_token_id=sorted(self.ends),
            )
            new = generated[:, batch["input_ids"].shape[1] :].tolist()
            texts += [self.decode(ids) for ids in new]
        return texts

    def decode(self, ids: list[int]) -> str:
        """Return the text of generated tokens before the first that ends it."""
        end = next((place for place, token in enumerate(ids) if token in self.ends), len(ids))
        return str(self.tokenizer.decode(ids[:end], skip_special_tokens=True))
