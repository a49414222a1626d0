"""Scores of an inspector: batches by length, against one dataset and Trainer per batch of 64.

The models are BERTs with random weights. Both methods use float32 and the same tokenizer.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from figures import Figure, Figures, at_least, at_most
from side_by_side import compare
from texts import load_texts, make_rows
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.configuration.kinds.training import FromScratch
from aligners.core.rows import Row
from aligners.inspectors.inspector import Inspector, Settings
from aligners.models.from_scratch import make_classifier
from aligners.models.pretrained import load_for_inference, load_tokenizer

# Layers x width; the second shape is the demo's.
SHAPES = {
    "6 x 384": {
        "num_hidden_layers": 6,
        "hidden_size": 384,
        "num_attention_heads": 12,
        "intermediate_size": 1536,
    },
    "2 x 128": {
        "num_hidden_layers": 2,
        "hidden_size": 128,
        "num_attention_heads": 4,
        "intermediate_size": 512,
    },
}
VOCABULARY = 4000
TOKENIZER_TEXTS = 5000
MAX_TOKENS = 512
REFERENCE_BATCH = 64


def measure(rows: int = 1024) -> Figures:
    """Score `rows` answers with both methods and a model of each shape."""
    source, texts = load_texts()
    made = make_rows(texts, rows)
    datasets.disable_progress_bars()
    figures = {"texts": Figure(source), "rows": Figure(len(made))}
    for name, shape in SHAPES.items():
        for figure, value in compare_scoring(shape, texts, made).items():
            figures[f"{name}: {figure}"] = value
    return figures


def compare_scoring(shape: dict[str, int], texts: list[str], rows: list[Row]) -> Figures:
    """Return the figures of one model."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        inspector = make_inspector(shape, directory / "model", texts)

        def reference(rows: Sequence[Row]) -> list[float]:
            return score_in_text_order(inspector, rows, directory / "trainer")

        def ours(rows: Sequence[Row]) -> list[float]:
            questions, responses = ([row[key] for row in rows] for key in ("question", "response"))
            # The texts are short, so that each has a score.
            return [value or 0.0 for value in inspector.log_odds(questions, responses)]

        rates, theirs, own = compare(rows, reference, ours)
    difference = max(abs(a - b) for a, b in zip(theirs, own, strict=True))
    return {
        "million parameters": Figure(inspector.model.num_parameters() / 1e6),
        "reference, rows/s": Figure(rates["reference, rows/s"]),
        "ours, rows/s": Figure(rates["ours, rows/s"]),
        "ratio": Figure(rates["ratio"], at_least(4)),
        "largest difference of log odds": Figure(difference, at_most(1e-4)),
    }


def make_inspector(shape: dict[str, int], directory: Path, texts: list[str]) -> Inspector:
    """Return an inspector with random weights."""
    bert = FromScratch(model_type="bert", vocabulary_size=VOCABULARY, config={**shape})
    make_classifier(bert, texts[:TOKENIZER_TEXTS], directory, seed=0)
    source = ModelSource(str(directory))
    model = load_for_inference(AutoModelForSequenceClassification, source, torch.float32)
    settings = Settings(temperature=1.0, threshold=0.0, max_tokens=MAX_TOKENS, dtype="float32")
    return Inspector(model, load_tokenizer(source), settings)


def score_in_text_order(inspector: Inspector, rows: Sequence[Row], directory: Path) -> list[float]:
    """Score consecutive batches in text order, each with its own dataset and Trainer."""
    scores = [0.0] * len(rows)
    order = sorted(range(len(rows)), key=lambda place: rows[place]["question"])
    for start in range(0, len(order), REFERENCE_BATCH):
        places = order[start : start + REFERENCE_BATCH]
        batch = score_batch(inspector, [rows[place] for place in places], directory)
        for place, score in zip(places, batch, strict=True):
            scores[place] = score
    return scores


def score_batch(inspector: Inspector, rows: Sequence[Row], directory: Path) -> list[float]:
    """Return the log odds of one batch, padded to its longest row."""
    columns = {name: [row[name] for row in rows] for name in ("question", "response")}
    encoded = datasets.Dataset.from_dict(columns).map(
        lambda batch: inspector.tokenizer(
            batch["question"], batch["response"], truncation=True, max_length=MAX_TOKENS
        ),
        batched=True,
        remove_columns=list(columns),
    )
    arguments = TrainingArguments(
        output_dir=str(directory),
        per_device_eval_batch_size=REFERENCE_BATCH,
        dataloader_pin_memory=torch.cuda.is_available(),
        disable_tqdm=True,
    )
    trainer = Trainer(
        model=inspector.model,
        args=arguments,
        data_collator=DataCollatorWithPadding(inspector.tokenizer),
        processing_class=inspector.tokenizer,
    )
    logits: Any = trainer.predict(encoded).predictions
    return list(np.subtract(logits[:, 1], logits[:, 0], dtype=float))
