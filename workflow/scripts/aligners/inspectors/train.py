"""Training of an inspector: a two-class classifier of responses, then calibrated and tested."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from aligners.configuration.kinds.inspectors import InspectorRecipe
from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError
from aligners.core.rows import Row, row_id
from aligners.inspectors.calibration import choose_threshold, fit_temperature
from aligners.inspectors.encoding import encode_pairs
from aligners.inspectors.quality import quality, rows_of_scores
from aligners.inspectors.scorer import Scored, Scorer
from aligners.models.from_scratch import make_classifier
from aligners.models.pretrained import load_model, load_tokenizer, set_dropout
from aligners.synthesis.training_sets import sample
from aligners.training.record import count_rows, training_metrics
from aligners.training.run import TrainingRun


def train_inspector(
    training: TrainingRun[InspectorRecipe],
    train_rows: Sequence[Row],
    validation_rows: Sequence[Row],
    test_rows: Sequence[Row],
) -> tuple[dict[str, Any], list[Row]]:
    """Train an inspector, calibrate it on validation rows, test it on test rows, and export it.

    Half of the validation questions choose the training step. The other half calibrate the
    inspector and choose its threshold.

    Args:
        training: its recipe is one of config/inspectors/.
        train_rows, validation_rows, test_rows: with question_id, question, response and label (1 =
            aligned).

    Returns:
        The content of metrics.json and the rows of test_scores.jsonl (docs/data.md).

    Raises:
        UserError: a set is empty, or the model cannot be loaded or trained with this recipe.
    """
    check_sets(train_rows, validation_rows, test_rows)
    recipe, seed = training.recipe, training.seed
    texts = [row[field] for row in train_rows for field in ("question", "response")]
    base = training.base_model(make_classifier, texts)
    set_seed(seed)  # The new head of a pretrained encoder has random weights.
    tokenizer, model = load_classifier(base, recipe.dropout)
    # Some models have more positions than they can use; their tokenizers have the right limit.
    max_tokens = min(training.max_tokens(model), tokenizer.model_max_length)
    selecting, calibrating = halves(validation_rows)
    selecting, _ = sample(selecting, recipe.validation_rows, seed)
    train, validation = (
        encode_rows(tokenizer, rows, max_tokens) for rows in (train_rows, selecting)
    )
    trainer = training.make_trainer(model, tokenizer, train, validation, PairCollator(tokenizer))
    training.train_to_best(trainer)
    scorer = Scorer(training.source.name, trainer, tokenizer, max_tokens)
    calibration, test = map(scorer.score, (calibrating, test_rows))
    settings = calibrate(calibration, recipe.cost_of_false_alarm)
    metrics = {
        **quality(test, **settings),
        **count_rows(train, validation),
        "calibration_rows": len(calibration.rows),
        "unscored": len(calibrating) + len(test_rows) - len(calibration.rows) - len(test.rows),
        **training_metrics(trainer),
    }
    model.config.inspector = {**settings, "max_tokens": max_tokens, "dtype": recipe.dtype}
    training.export(trainer, metrics)
    return metrics, rows_of_scores(test, settings["temperature"])


def halves(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Return two halves of the rows; the rows of a question are in the same half.

    The halves depend only on the ids of the questions. An odd number of questions leaves one more
    in the first half.
    """
    questions = sorted({row["question_id"] for row in rows}, key=row_id)
    second = set(questions[(len(questions) + 1) // 2 :])
    return (
        [row for row in rows if row["question_id"] not in second],
        [row for row in rows if row["question_id"] in second],
    )


def calibrate(rows: Scored, cost_of_false_alarm: float) -> dict[str, float]:
    """Return the temperature and the threshold (in calibrated log odds) for some rows."""
    temperature = fit_temperature(rows.log_odds, rows.labels, rows.questions)
    threshold = choose_threshold(rows.log_odds / temperature, rows.labels, cost_of_false_alarm)
    return {"temperature": temperature, "threshold": threshold}


def check_sets(
    train_rows: Sequence[Row], validation_rows: Sequence[Row], test_rows: Sequence[Row]
) -> None:
    """Check that each set has rows, and the validation set two questions to be halved.

    Raises:
        UserError: a set has too few rows.
    """
    sets = {"training": train_rows, "validation": validation_rows, "test": test_rows}
    for name, rows in sets.items():
        if not rows:
            raise UserError(
                f"the inspector set has no {name} rows; raise questions_per_criterion, or the "
                f"share of {name} in split"
            )
    if len({row["question_id"] for row in validation_rows}) == 1:
        raise UserError(
            "the inspector set has validation rows of one question only, but the choice of the "
            "training step and the calibration need one each; raise questions_per_criterion, or "
            "the share of validation in split"
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
