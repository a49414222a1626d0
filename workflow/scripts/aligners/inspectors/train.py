"""Training of an inspector: a two-class classifier of responses, then calibrated and tested."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from sklearn.metrics import confusion_matrix, roc_auc_score
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from aligners.configuration.kinds.inspectors import InspectorRecipe
from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError
from aligners.core.rows import Row
from aligners.inspectors.calibration import (
    Labels,
    Logits,
    aligned_probability,
    expected_calibration_error,
    fit_temperature,
)
from aligners.inspectors.inspector import encode_pairs
from aligners.models.from_scratch import make_classifier
from aligners.models.pretrained import load_model, load_tokenizer, set_dropout
from aligners.synthesis.training_sets import sample
from aligners.training.batches import RowDataset
from aligners.training.record import count_rows, training_metrics
from aligners.training.run import TrainingRun
from aligners.training.trainer import BatchTrainer


def train_inspector(
    training: TrainingRun[InspectorRecipe],
    train_rows: Sequence[Row],
    validation_rows: Sequence[Row],
    test_rows: Sequence[Row],
) -> tuple[dict[str, Any], list[Row]]:
    """Train an inspector, calibrate it on validation rows, test it on test rows, and export it.

    Args:
        training: its recipe is one of config/inspectors/.
        train_rows, validation_rows, test_rows: with question, response and label (1 = aligned).

    Returns:
        The content of metrics.json and the rows of test_scores.jsonl (docs/data.md).

    Raises:
        UserError: a set is empty, or the model cannot be loaded or trained with this recipe.
    """
    check_sets(training=train_rows, validation=validation_rows, test=test_rows)
    recipe, seed = training.recipe, training.seed
    texts = [row[field] for row in train_rows for field in ("question", "response")]
    base = training.base_model(make_classifier, texts)
    set_seed(seed)  # The new head of a pretrained encoder has random weights.
    tokenizer, model = load_classifier(base, recipe.dropout)
    # Some models have more positions than they can use; their tokenizers have the right limit.
    max_tokens = min(training.max_tokens(model), tokenizer.model_max_length)
    validation_sample, _ = sample(validation_rows, recipe.validation_rows, seed)
    sets = (train_rows, validation_sample, test_rows)
    train, validation, test = (encode_rows(tokenizer, rows, max_tokens) for rows in sets)
    trainer = training.make_trainer(model, tokenizer, train, validation, PairCollator(tokenizer))
    training.train_to_best(trainer)
    name = training.source.name
    temperature = fit_temperature(*predict(name, trainer, validation))
    logits, labels = predict(name, trainer, test)  # test rows x 2, test rows
    quality = score_quality(logits, labels, temperature)
    metrics = {**quality, **count_rows(train, validation, test), **training_metrics(trainer)}
    settings = {"temperature": temperature, "max_tokens": max_tokens, "dtype": recipe.dtype}
    model.config.inspector = settings
    training.export(trainer, metrics)
    return metrics, score_rows(test, logits, temperature)


def check_sets(**sets: Sequence[Row]) -> None:
    """Check that each set has rows.

    Raises:
        UserError: a set has no rows.
    """
    for name, rows in sets.items():
        if not rows:
            raise UserError(
                f"the inspector set has no {name} rows; raise questions_per_criterion, or the "
                f"share of {name} in split"
            )


def load_classifier(
    source: ModelSource, dropout: float | None
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Load a tokenizer and a two-label model with float32 weights, as for an aligner."""
    tokenizer = load_tokenizer(source)
    model = load_model(
        AutoModelForSequenceClassification,
        source,
        dtype=torch.float32,
        new_head=True,
        num_labels=2,
        id2label={0: "misaligned", 1: "aligned"},
        label2id={"misaligned": 0, "aligned": 1},
    )
    set_dropout(model, dropout)
    return tokenizer, model


def encode_rows(
    tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], max_tokens: int
) -> list[dict[str, Any]]:
    """Encode rows as the model's inputs, with their id, their label and `truncated`."""
    encoded = encode_pairs(
        tokenizer,
        [row["question"] for row in rows],
        [row["response"] for row in rows],
        max_tokens,
    )
    return [
        {"id": row["id"], **pair.inputs, "label": row["label"], "truncated": pair.truncated}
        for pair, row in zip(encoded, rows, strict=True)
    ]


class PairCollator:
    """Pads encoded pairs to the longest of a micro-batch."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        """Use the tokenizer's own padding."""
        self.tokenizer = tokenizer

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the model's inputs (rows x tokens) and labels (rows)."""
        names = self.tokenizer.model_input_names
        inputs = [{name: row[name] for name in names if name in row} for row in rows]
        batch = dict(self.tokenizer.pad(inputs, return_tensors="pt"))
        batch["labels"] = torch.tensor([row["label"] for row in rows])
        return batch


def predict(
    name: str, trainer: BatchTrainer, rows: Sequence[dict[str, Any]]
) -> tuple[Logits, Labels]:
    """Return the logits (rows x 2) and labels (rows), in the order of the rows.

    `name` is the inspector's criterion, for the message.

    Raises:
        UserError: a logit is NaN or infinite.
    """
    # In order of length, batches have less padding.
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]["input_ids"]))
    output: Any = trainer.predict(RowDataset([rows[index] for index in order]))
    position = np.argsort(order)  # of each row in `output`
    logits = output.predictions.astype(np.float64)[position]
    faulty = ~np.isfinite(logits).all(axis=1)  # rows
    if faulty.any():
        first = rows[int(faulty.argmax())]["id"]
        raise UserError(
            f"the inspector of {name}: its logits of row {first} are {logits[faulty][0].tolist()}, "
            "and calibration needs finite numbers; set dtype: float32 or a lower learning_rate in "
            "its recipe"
        )
    return logits, output.label_ids[position]


def score_quality(logits: Logits, labels: Labels, temperature: float) -> dict[str, Any]:
    """Return the quality of calibrated scores on test rows.

    Args:
        logits: rows x 2.
        labels: rows.
        temperature: of the calibration.

    Returns:
        n, accuracy, roc_auc (None if all rows have the same label), ece, confusion,
        ece_uncalibrated, temperature.
    """
    scores = aligned_probability(logits, temperature)  # rows
    predicted = (scores >= 0.5).astype(int)
    (true_negative, false_positive), (false_negative, true_positive) = confusion_matrix(
        labels, predicted, labels=[0, 1]
    ).tolist()
    both_labels = len(set(labels.tolist())) == 2
    return {
        "n": len(labels),
        "accuracy": float((predicted == labels).mean()),
        "roc_auc": float(roc_auc_score(labels, scores)) if both_labels else None,
        "ece": expected_calibration_error(scores, labels),
        "confusion": {
            "aligned_as_aligned": true_positive,
            "aligned_as_misaligned": false_negative,
            "misaligned_as_aligned": false_positive,
            "misaligned_as_misaligned": true_negative,
        },
        "ece_uncalibrated": expected_calibration_error(aligned_probability(logits, 1.0), labels),
        "temperature": temperature,
    }


def score_rows(
    rows: Sequence[dict[str, Any]], logits: Logits, temperature: float
) -> list[dict[str, Any]]:
    """Return the id, the label and the score of each row; logits are rows x 2."""
    scores = aligned_probability(logits, temperature)
    return [
        {"id": row["id"], "label": row["label"], "score": float(score)}
        for row, score in zip(rows, scores, strict=True)
    ]
