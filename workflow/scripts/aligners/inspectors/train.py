"""Train an inspector: a two-class classifier of answers, calibrated and tested in one job."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_auc_score
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedTokenizerBase,
    set_seed,
)

from aligners.core.errors import UserError
from aligners.core.rows import Row
from aligners.inspectors.calibration import (
    aligned_probability,
    expected_calibration_error,
    fit_temperature,
)
from aligners.inspectors.inspector import encode_pairs
from aligners.models.from_scratch import make_classifier
from aligners.models.pretrained import load_model, load_tokenizer, set_dropout
from aligners.models.text_generation import context_length
from aligners.synthesis.training_sets import sample
from aligners.training.batches import Rows
from aligners.training.record import Source, training_record, write_record
from aligners.training.trainer import (
    BatchTrainer,
    export,
    make_trainer,
    train_to_the_best,
    training_metrics,
    with_model,
)


def train_inspector(
    recipe: dict[str, Any],
    train_rows: Sequence[Row],
    validation_rows: Sequence[Row],
    test_rows: Sequence[Row],
    output_directory: Path,
    working_directory: Path,
    seed: int,
    source: Source,
) -> tuple[dict[str, Any], list[Row]]:
    """Train an inspector, calibrate it on validation rows, measure it on test rows, write it.

    Args:
        recipe: of config/inspectors/.
        train_rows, validation_rows, test_rows: inspector sets, rows with question, response and
            label (1 = aligned, 0 = misaligned).
        output_directory: written whole at the end, the temperature in its config.json.
        working_directory: keeps checkpoints; a killed job goes on from the last whole one.
        seed: decides new weights, the order of the rows and the validation sample.
        source: what the rows are from, for training.json.

    Returns:
        Metrics on the test rows: accuracy, roc_auc (None if there is one class only), ece,
        ece_uncalibrated, confusion, n; and temperature, best_step, validation_loss, steps, epochs,
        train_rows, validation_rows, truncated, parameters, unpadded_share, losses.
        And for each test row, in their order: id, label, and score, the calibrated P(aligned).

    Raises:
        UserError: there are no rows, or the model cannot be had or trained as the recipe says.
    """
    sets = {"training": train_rows, "validation": validation_rows, "test": test_rows}
    for name, rows in sets.items():
        if not rows:
            raise UserError(f"the inspector set has no {name} rows; make more pairs")
    texts = [row[field] for row in train_rows for field in ("question", "response")]
    base = with_model(recipe, make_classifier, texts, working_directory, seed)
    tokenizer = load_tokenizer(base)
    set_seed(seed)  # A pretrained encoder gets a new head with random weights.
    model = load_model(
        AutoModelForSequenceClassification,
        base,
        dtype=torch.float32,
        num_labels=2,
        id2label={0: "misaligned", 1: "aligned"},
        label2id={"misaligned": 0, "aligned": 1},
    )
    set_dropout(model, recipe["dropout"])
    # Some models have more positions than they can use: the tokenizer knows better.
    context = min(context_length(model) or recipe["max_tokens"], tokenizer.model_max_length)
    max_tokens = min(recipe["max_tokens"], context)
    chosen, _ = sample(validation_rows, recipe["validation_rows"], seed)
    train, validation, test = (
        encode_rows(tokenizer, rows, max_tokens) for rows in (train_rows, chosen, test_rows)
    )
    trainer = make_trainer(
        recipe,
        model,
        tokenizer,
        train,
        validation,
        PairCollator(tokenizer),
        False,
        working_directory,
        seed,
    )
    clock = train_to_the_best(trainer, recipe, "training the inspector")
    temperature = fit_temperature(*predict(trainer, validation))
    logits, labels = predict(trainer, test)
    scores = aligned_probability(logits, temperature)
    metrics = {
        **measure(scores, labels),
        "ece_uncalibrated": expected_calibration_error(aligned_probability(logits, 1.0), labels),
        "temperature": temperature,
        "train_rows": len(train),
        "validation_rows": len(validation),
        "truncated": sum(row["truncated"] for row in [*train, *validation, *test]),
        **training_metrics(trainer),
    }
    record = training_record(source, recipe, seed, trainer, clock, metrics)
    model.config.inspector = {
        "temperature": temperature,
        "max_tokens": max_tokens,
        "dtype": recipe["dtype"],
    }
    export(trainer, output_directory, lambda path: write_record(path, record))
    return metrics, [
        {"id": row["id"], "label": row["label"], "score": float(score)}
        for row, score in zip(test, scores, strict=True)
    ]


def encode_rows(
    tokenizer: PreTrainedTokenizerBase, rows: Sequence[Row], max_tokens: int
) -> list[dict[str, Any]]:
    """Encode rows as the model's inputs, with their label and whether they were cut."""
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
    """Pads encoded pairs to the longest of a batch."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase):
        """Remember the tokenizer, which knows how its model wants padding."""
        self.tokenizer = tokenizer

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return the model's inputs (rows x tokens) and labels (rows)."""
        names = self.tokenizer.model_input_names
        inputs = [{name: row[name] for name in names if name in row} for row in rows]
        batch = dict(self.tokenizer.pad(inputs, return_tensors="pt"))
        batch["labels"] = torch.tensor([row["label"] for row in rows])
        return batch


def predict(
    trainer: BatchTrainer, rows: Sequence[dict[str, Any]]
) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """Return the logits (rows x 2) and labels of rows, in their order."""
    # Computed in order of length: batches have less padding.
    order = sorted(range(len(rows)), key=lambda index: len(rows[index]["input_ids"]))
    output: Any = trainer.predict(Rows([rows[index] for index in order]))
    back = np.argsort(order)
    return output.predictions.astype(np.float64)[back], output.label_ids[back]


def measure(scores: NDArray[np.floating], labels: NDArray[np.integer]) -> dict[str, Any]:
    """Return how good calibrated scores are on rows that training has not seen."""
    predicted = (scores >= 0.5).astype(int)
    (true_negative, false_positive), (false_negative, true_positive) = confusion_matrix(
        labels, predicted, labels=[0, 1]
    ).tolist()
    both = len(set(labels.tolist())) == 2
    return {
        "n": len(labels),
        "accuracy": float((predicted == labels).mean()),
        "roc_auc": float(roc_auc_score(labels, scores)) if both else None,
        "ece": expected_calibration_error(scores, labels),
        "confusion": {
            "aligned_as_aligned": true_positive,
            "aligned_as_misaligned": false_negative,
            "misaligned_as_aligned": false_positive,
            "misaligned_as_misaligned": true_negative,
        },
    }
