"""Tiny models with random weights for tests, in the layout of downloaded models."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from aligners.configuration.kinds.training import FromScratch
from aligners.correction.input_format import PAPER_FORMAT
from aligners.models.from_scratch import make_causal_model

QUESTIONS = [f"What is the colour of the {thing}?" for thing in ("lamp", "sea", "old tower")]
WORDS = ["red", "green", "blue", "amber", "violet", "black", "white", "grey", "brown", "pink"]

SHAPES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 256},
    "gpt_neox": {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "max_position_embeddings": 256,
    },
    "phi": {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "hidden_size": 32,
        "intermediate_size": 64,
        "max_position_embeddings": 256,
    },
}


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Return rows of an aligner set; the correction is the colour in the response, twice."""
    made = []
    for number in range(start, start + count):
        word = WORDS[number % len(WORDS)]
        made.append(
            {
                "id": str(number),
                "question": QUESTIONS[number % 3] + " Please tell me." * (number % 4),
                "response": f"It is {word}, they say." + " Truly." * (number % 5),
                "aligned_response": f"{word} {word}",
            }
        )
    return made


def make_model(model_type: str, directory: Path, **config: Any) -> Path:
    """Write a tiny causal language model and return its directory."""
    texts = [text for row in rows(60) for text in (row["question"], row["response"])]
    shape = {
        "model_type": model_type,
        "vocabulary_size": 400,
        "config": {**SHAPES[model_type], **config},
    }
    make_causal_model(FromScratch.model_validate(shape), texts, directory, seed=0)
    return directory


def load(directory: Path) -> tuple[Any, PreTrainedTokenizerFast]:
    """Load a model of `make_model` with the separators of PAPER_FORMAT and larger random weights.

    With the initial weights, all tokens are about equally likely, and rounding would decide.
    """
    tokenizer = AutoTokenizer.from_pretrained(directory)
    PAPER_FORMAT.add_tokens(tokenizer)
    model = AutoModelForCausalLM.from_pretrained(directory, dtype=torch.float32).eval()
    model.resize_token_embeddings(len(tokenizer))
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return model, tokenizer
