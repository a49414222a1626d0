"""The card of a model: a README.md that the Hugging Face Hub reads and shows."""

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from pydantic import BaseModel, model_validator

from aligners.configuration.results import TRAINING_RECORD
from aligners.core.rows import read_json
from aligners.correction.input_format import load_format
from aligners.publishing.licenses import non_commercial

# No result depends on this module, so fingerprints leave it out.
AFFECTS_RESULTS = False

TEMPLATE = Path(__file__).parent / "templates" / "model_card.md.j2"
TASKS = {"aligner": "text-generation", "inspector": "text-classification"}


class DataFile(BaseModel):
    """A file that a model was trained on."""

    path: str
    rows: int
    sha256: str
    licenses: list[str] = []


class Metric(NamedTuple):
    """A metric of training.json that the Hub shows.

    Attributes:
        key: in training.json.
        hub_name: the Hub's name of the metric.
        name: for readers of the card.
        split: split that it was measured on.
    """

    key: str
    hub_name: str
    name: str
    split: str


METRICS = {
    "aligner": [Metric("validation_loss", "loss", "validation loss, nats per token", "validation")],
    "inspector": [
        Metric("accuracy", "accuracy", "accuracy", "test"),
        Metric("roc_auc", "roc_auc", "ROC AUC", "test"),
        Metric("ece", "expected_calibration_error", "calibration error, 15 bins", "test"),
        Metric("brier", "brier_score", "Brier score", "test"),
        Metric("validation_loss", "loss", "validation loss, nats per row", "validation"),
    ],
}


class StartingPoint(BaseModel):
    """The part of a recipe that names the model from which a training starts."""

    model: str | None = None
    from_scratch: dict[str, Any] | None = None

    @model_validator(mode="after")
    def is_known(self) -> Self:
        """Check that there is a model, or that it starts from random weights."""
        if self.model is None and self.from_scratch is None:
            raise ValueError("has neither model nor from_scratch")
        return self


class TrainingRecord(BaseModel):
    """What the card shows of training.json; a card leaves out numbers that are missing."""

    kind: Literal["aligner", "inspector"]
    name: str
    recipe_name: str
    recipe: StartingPoint
    license: str | None
    data: list[DataFile]
    versions: dict[str, str]
    hardware: dict[str, Any]
    metrics: dict[str, Any]


def model_card(directory: Path, languages: Sequence[str]) -> ModelCard:
    """Return the card of a model: metadata for the Hub, a description, and the training record.

    Numbers that are missing or None in training.json are left out.

    Args:
        directory: of a trained model, with training.json, and for an aligner its input format.
        languages: of its criteria, as codes of ISO 639-1.

    Raises:
        UserError: one of these files is missing.
    """
    record = read_json(directory / TRAINING_RECORD, TrainingRecord)
    data = metadata(record, languages)
    return ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        record=record,
        results=data.eval_results or [],
        non_commercial=non_commercial(data_licenses(record)),
        recipe=yaml.safe_dump(record["recipe"], sort_keys=False, allow_unicode=True),
        input_format=load_format(directory)[0] if record["kind"] == "aligner" else None,
        # Not Jinja's own filter for JSON, which escapes some characters for HTML.
        quoted=partial(json.dumps, ensure_ascii=False),
    )


def data_licenses(record: dict[str, Any]) -> set[str]:
    """Return the licences of the imports that a model was trained on."""
    return {license for file in record["data"] for license in file.get("licenses", [])}


def metadata(record: dict[str, Any], languages: Sequence[str]) -> ModelCardData:
    """Return the Hub's metadata of a model.

    They name no data set, because the training data are files of the run and not on the Hub.
    """
    kind, metrics = record["kind"], record["metrics"]
    results = [
        EvalResult(
            task_type=TASKS[kind],
            dataset_type="json",
            dataset_name=f"{record['name']} {kind} set",
            dataset_split=metric.split,
            metric_type=metric.hub_name,
            metric_name=metric.name,
            metric_value=metrics[metric.key],
        )
        for metric in METRICS[kind]
        if metrics.get(metric.key) is not None
    ]
    return ModelCardData(
        license=record["license"],
        base_model=base_model(record["recipe"]),
        language=list(languages),
        library_name="transformers",
        pipeline_tag=TASKS[kind],
        tags=["aligners", kind, "alignment"],
        model_name=f"{record['name']} {kind}",
        # An empty list would make a model index without results, which the Hub rejects.
        eval_results=results or None,
    )


def base_model(recipe: dict[str, Any]) -> str | None:
    """Return the Hub model that the training started from, or None if it was not on the Hub."""
    if "from_scratch" in recipe or Path(recipe["model"]).is_dir():
        return None
    return str(recipe["model"])
