"""Corrections: batches by length that finished rows leave, against batches of 64 in text order.

The model has random weights and never learnt to end a text. So both methods treat the same small
share of its tokens as end tokens; the texts get uneven lengths. Both methods decode greedily in
float32, on the same prompts.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import torch
from figures import Figure, Figures, at_least
from side_by_side import compare
from texts import load_texts, make_rows
from transformers import AutoModelForCausalLM

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.configuration.kinds.training import FromScratch
from aligners.core.completions import Decoding
from aligners.core.rows import Row
from aligners.correction.aligner import BATCH_TOKENS, Aligner
from aligners.correction.backends import ModelBackend
from aligners.correction.input_format import PAPER_FORMAT
from aligners.models.from_scratch import make_causal_model
from aligners.models.pretrained import load_for_inference, load_tokenizer

# About 30 million parameters.
SHAPE = FromScratch(
    model_type="gpt2",
    vocabulary_size=4000,
    config={"n_layer": 8, "n_embd": 512, "n_head": 8, "tie_word_embeddings": False},
)
TOKENIZER_TEXTS = 5000
MAX_TOKENS, MAX_NEW_TOKENS = 1024, 256
END_SHARE = 0.015
REFERENCE_BATCH = 64


def measure(rows: int = 128) -> Figures:
    """Correct `rows` responses with both methods."""
    source, texts = load_texts()
    made = make_rows(texts, rows)
    with tempfile.TemporaryDirectory() as name:
        aligner = make_aligner(Path(name) / "model", texts)

    def reference(rows: Sequence[Row]) -> list[str]:
        return align_in_text_order(aligner, rows)

    def ours(rows: Sequence[Row]) -> list[str]:
        corrections = aligner.align([r["question"] for r in rows], [r["response"] for r in rows])
        return [correction.text for correction in corrections]

    rates, theirs, own = compare(made, reference, ours)
    lengths = [len(text) for text in own]
    equal = sum(a == b for a, b in zip(theirs, own, strict=True)) / len(made)
    return {
        "texts": Figure(source),
        "rows": Figure(len(made)),
        "million parameters": Figure(model_of(aligner).num_parameters() / 1e6),
        "characters of a correction, median": Figure(median(lengths)),
        "characters of a correction, maximum": Figure(max(lengths)),
        "reference, rows/s": Figure(rates["reference, rows/s"]),
        "ours, rows/s": Figure(rates["ours, rows/s"]),
        "ratio": Figure(rates["ratio"], at_least(1.7)),
        "share of equal texts": Figure(equal, at_least(0.99)),
    }


def make_aligner(directory: Path, texts: list[str]) -> Aligner:
    """Return an aligner with random weights, for which a share of its tokens are end tokens."""
    make_causal_model(SHAPE, texts[:TOKENIZER_TEXTS], directory, seed=0)
    source = ModelSource(str(directory))
    tokenizer = load_tokenizer(source)
    model = load_for_inference(AutoModelForCausalLM, source, torch.float32)
    PAPER_FORMAT.add_tokens(tokenizer)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    ends = range(round(END_SHARE * len(tokenizer)))
    backend = ModelBackend(model, tokenizer, ends, BATCH_TOKENS)
    return Aligner(backend, tokenizer, PAPER_FORMAT, Decoding(MAX_NEW_TOKENS), MAX_TOKENS)


def model_of(aligner: Aligner) -> Any:
    """Return the model of `make_aligner`."""
    assert isinstance(aligner.backend, ModelBackend)
    return aligner.backend.model


def end_token_ids(aligner: Aligner) -> set[int]:
    """Return the end tokens of `make_aligner`."""
    assert isinstance(aligner.backend, ModelBackend)
    return aligner.backend.end_token_ids


def align_in_text_order(aligner: Aligner, rows: Sequence[Row]) -> list[str]:
    """Correct consecutive batches in text order, each until its last row has ended."""
    aligned = [""] * len(rows)
    order = sorted(range(len(rows)), key=lambda place: rows[place]["question"])
    for start in range(0, len(order), REFERENCE_BATCH):
        places = order[start : start + REFERENCE_BATCH]
        texts = generate_padded(aligner, [rows[place] for place in places])
        for place, text in zip(places, texts, strict=True):
            aligned[place] = text
    return aligned


@torch.inference_mode()
def generate_padded(aligner: Aligner, rows: Sequence[Row]) -> list[str]:
    """Generate with transformers; prompts are padded on the left to the longest of the batch."""
    questions, responses = ([row[field] for row in rows] for field in ("question", "response"))
    _, prompts = aligner.encode(questions, responses, principles="")
    width = max(map(len, prompts))
    input_ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros_like(input_ids)
    for place, prompt in enumerate(prompts):
        input_ids[place, width - len(prompt) :] = torch.tensor(prompt)
        mask[place, width - len(prompt) :] = 1
    model = model_of(aligner)
    generated = model.generate(
        input_ids=input_ids.to(model.device),
        attention_mask=mask.to(model.device),
        max_new_tokens=MAX_NEW_TOKENS,
        do_sample=False,
        eos_token_id=sorted(end_token_ids(aligner)),
        pad_token_id=0,
    )
    return [decode(aligner, row) for row in generated[:, width:].tolist()]


def decode(aligner: Aligner, ids: list[int]) -> str:
    """Return the text of the generated tokens before the first end token."""
    end_ids = end_token_ids(aligner)
    ends = (place for place, token in enumerate(ids) if token in end_ids)
    kept = ids[: next(ends, len(ids))]
    text = aligner.tokenizer.decode(
        kept, skip_special_tokens=True, clean_up_tokenization_spaces=False
    )
    return str(text).strip()
