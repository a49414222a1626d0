"""The card of a model: README.md as the Hugging Face Hub reads and shows it."""

import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from aligners.core.rows import read_json
from aligners.correction.input_format import load_format

# No result depends on this module: fingerprints leave it out.
DECIDES = False

RECORD = "training.json"
TEMPLATE = Path(__file__).parent / "templates" / "model_card.md.j2"
TASKS = {"aligner": "text-generation", "inspector": "text-classification"}


class Measure(NamedTuple):
    """A metric of training.json that the Hub shows: its key, the Hub's name and ours, the split."""

    key: str
    hub_name: str
    name: str
    split: str


MEASURES = {
    "aligner": [
        Measure("validation_loss", "loss", "validation loss, nats per token", "validation")
    ],
    "inspector": [
        Measure("accuracy", "accuracy", "accuracy", "test"),
        Measure("roc_auc", "roc_auc", "ROC AUC", "test"),
        Measure("ece", "expected_calibration_error", "calibration error, 15 bins", "test"),
        Measure("validation_loss", "loss", "validation loss, nats per row", "validation"),
    ],
}


def model_card(directory: Path) -> ModelCard:
    """Return the card of a model: metadata for the Hub, what the model is and how it was made.

    Numbers that training.json lacks, or that are None in it, are left out.

    Args:
        directory: of a trained model, with training.json; an aligner's with its input format too.

    Raises:
        UserError: one of these files is missing.
    """
    record = read_json(directory / RECORD)
    data = metadata(record)
    return ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        record=record,
        results=data.eval_results or [],
        recipe=yaml.safe_dump(record["recipe"], sort_keys=False, allow_unicode=True),
        input_format=load_format(directory)[0] if record["kind"] == "aligner" else None,
        # Jinja's own filter for JSON also escapes what HTML does not allow.
        quoted=partial(json.dumps, ensure_ascii=False),
    )


def metadata(record: dict[str, Any]) -> ModelCardData:
    """Return what the Hub files a model under.

    The training data are files of the run, not data sets of the Hub, so none is named there.
    """
    kind, metrics = record["kind"], record["metrics"]
    results = [
        EvalResult(
            task_type=TASKS[kind],
            dataset_type="json",
            dataset_name=f"{record['name']} {kind} set",
            dataset_split=measure.split,
            metric_type=measure.hub_name,
            metric_name=measure.name,
            metric_value=metrics[measure.key],
        )
        for measure in MEASURES[kind]
        if metrics.get(measure.key) is not None
    ]
    return ModelCardData(
        license=record["license"],
        base_model=base_model(record["recipe"]),
        language="en",
        library_name="transformers",
        pipeline_tag=TASKS[kind],
        tags=["aligners", kind, "alignment"],
        model_name=f"{record['name']} {kind}",
        # An empty list would become a model without results, which the Hub refuses.
        eval_results=results or None,
    )


def base_model(recipe: dict[str, Any]) -> str | None:
    """Return the Hub's model that the training started from; None if it was none of the Hub's."""
    if "from_scratch" in recipe or Path(recipe["model"]).is_dir():
        return None
    return str(recipe["model"])
