"""The card of a model: README.md as the Hugging Face Hub reads and shows it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData
from huggingface_hub.constants import REPOCARD_NAME

from aligners.correction.input_format import load_format
from aligners.publishing.cards import ENGLISH, PAPER, save_card, table

# No result depends on this module: fingerprints leave it out.
DECIDES = False

TASKS = {"aligner": "text-generation", "inspector": "text-classification"}

# Of each kind: key of the metrics, the Hub's name of it, ours, and the split it was measured on.
RESULTS = {
    "aligner": [("validation_loss", "loss", "validation loss, nats per token", "validation")],
    "inspector": [
        ("accuracy", "accuracy", "accuracy", "test"),
        ("roc_auc", "roc_auc", "ROC AUC", "test"),
        ("ece", "expected_calibration_error", "calibration error, 15 bins", "test"),
        ("validation_loss", "loss", "validation loss, nats per row", "validation"),
    ],
}
# Further metrics that the card shows, where the record has them.
COUNTS = {
    "n": "test rows",
    "train_rows": "training rows",
    "validation_rows": "validation rows",
    "truncated": "rows cut to fit",
    "dropped": "rows too long, left out",
    "best_step": "best step, whose weights these are",
    "steps": "steps",
    "epochs": "epochs",
    "parameters": "parameters",
    "temperature": "temperature of the calibration",
}

WHAT = {
    "aligner": """\
An aligner is a small language model that reads a question and the response of any LLM, and rewrites
the response so that it follows the principles of a criterion. The LLM itself is never touched.
This is the aligner `{name}`, trained by the recipe `{recipe_name}`.""",
    "inspector": """\
An inspector is a classifier that reads a question and the response of any LLM, and tells how likely
the response follows the principles of a criterion: 1 is aligned, 0 is misaligned. In a squad,
inspectors decide which aligners act on a response.
This is the inspector `{name}`, trained by the recipe `{recipe_name}`.""",
}

USAGE = {
    "aligner": """\
```python
from pathlib import Path

from aligners.correction.aligner import Aligner
from huggingface_hub import snapshot_download

path = Path(snapshot_download("owner/name"))  # the name of this repository
question, response = "Is the Moon a planet?", "Yes, it is a small planet."
print(Aligner.from_directory(path).align([question], [response]))
```

Without that library, `AutoModelForCausalLM` loads it too. It reads one text, and what it writes
after it, up to the end token, is the aligned response:

```python
prompt = {prompt}
end = {end}
```
""",
    "inspector": """\
```python
from pathlib import Path

from aligners.inspectors.inspector import Inspector
from huggingface_hub import snapshot_download

path = Path(snapshot_download("owner/name"))  # the name of this repository
question, response = "Is the Moon a planet?", "Yes, it is a small planet."
print(Inspector.from_directory(path).score([question], [response]))
```

Without that library, `AutoModelForSequenceClassification` loads it too. It reads the question and
the response as a pair of texts. Its class 1 is "aligned"; divide the logits by the temperature in
`config.json`, under `inspector`, before the softmax.
""",
}

LIMITS = {
    "aligner": """\
- It can spoil a good response, and it can leave a bad one as it is: let an inspector, or a person,
  compare the two.""",
    "inspector": """\
- A score is an estimate; it holds for responses like those that it was calibrated on.""",
}

COMMON_LIMITS = """\
- It learned from pairs that a teacher wrote, with the teacher's errors and biases, and knows only
  the criteria that they are about. It is no guarantee that a response is safe or true.
- It was trained and measured in English alone.
- A response too long for it is cut before it reads it."""


def write_model_card(directory: Path, record: dict[str, Any]) -> None:
    """Write a model's README.md: metadata for the Hub, then what the model is and how it was made.

    Numbers that the record lacks, or that are None, are left out.

    Args:
        directory: of the model; an aligner's holds its input_format.json already.
        record: the content of training.json:
            kind: "aligner" or "inspector";
            name: of the criterion, or of the aligner;
            recipe_name, recipe: of config/backbones/ or config/inspectors/, and its keys;
            license: of the weights, as the Hub names licences; None where it is not known;
            data: list of {path, sha256, rows}, the files it was trained and measured on;
            metrics: what `train_aligner` or `train_inspector` returned;
            versions: of libraries, by name;
            seed, hardware (a dict), tokens, tokens_per_second, hours: of the training.

    Raises:
        UserError: the directory of an aligner holds no input_format.json.
    """
    kind, recipe = record["kind"], record["recipe"]
    sections = {
        f"{record['name']} {kind}": f"{WHAT[kind].format(**record)}\n{origin(recipe)}\n\n{PAPER}",
        "Use": usage(directory, kind),
        "Measured": measured(record),
        "Training data": table(
            ("file", "rows", "SHA-256"),
            [(f"`{item['path']}`", item["rows"], f"`{item['sha256']}`") for item in record["data"]],
        ),
        "Training": training(record),
        "Recipe": f"```yaml\n{yaml.safe_dump(recipe, sort_keys=False, allow_unicode=True)}```",
        "Limits": limits(kind, recipe),
        "Licence": licence(record),
    }
    save_card(ModelCard, metadata(record), sections, directory / REPOCARD_NAME)


def metadata(record: Mapping[str, Any]) -> ModelCardData:
    """Return what the Hub files a model under.

    The training data are files of the run, not data sets of the Hub, so none is named there.
    """
    kind, metrics = record["kind"], record["metrics"]
    results = [
        EvalResult(
            task_type=TASKS[kind],
            dataset_type="json",
            dataset_name=f"{record['name']} {kind} set",
            dataset_split=split,
            metric_type=hub_name,
            metric_name=name,
            metric_value=metrics[key],
        )
        for key, hub_name, name, split in RESULTS[kind]
        if metrics.get(key) is not None
    ]
    return ModelCardData(
        license=record["license"],
        base_model=base_model(record["recipe"]),
        language=ENGLISH,
        library_name="transformers",
        pipeline_tag=TASKS[kind],
        tags=["aligners", kind, "alignment"],
        model_name=f"{record['name']} {kind}",
        # An empty list would become a model without results, which the Hub refuses.
        eval_results=results or None,
    )


def base_model(recipe: Mapping[str, Any]) -> str | None:
    """Return the Hub's model that the training started from; None if it was none of the Hub's."""
    if "from_scratch" in recipe or Path(recipe["model"]).is_dir():
        return None
    return str(recipe["model"])


def origin(recipe: Mapping[str, Any]) -> str:
    """Say what the training started from."""
    if "from_scratch" in recipe:
        return "It started from random weights."
    if (model := base_model(recipe)) is None:
        return "It started from a model that is not on the Hub."
    revision = f", revision `{recipe['revision']}`" if recipe.get("revision") else ""
    return f"It started from [{model}](https://huggingface.co/{model}){revision}."


def usage(directory: Path, kind: str) -> str:
    """Say how the model is used, with the text that an aligner reads."""
    if kind == "inspector":
        return USAGE[kind]
    input_format, _ = load_format(directory)
    end = input_format.end and json.dumps(input_format.end, ensure_ascii=False)
    # By replacement, as the template has braces of its own.
    text = USAGE[kind].replace("{prompt}", json.dumps(input_format.prompt, ensure_ascii=False))
    text = text.replace("{end}", end or "tokenizer.eos_token")
    if input_format.added_tokens:
        tokens = ", ".join(f"`{token}`" for token in input_format.added_tokens)
        text += f"\nSingle tokens, spaces included: {tokens}.\n"
    return text


def measured(record: Mapping[str, Any]) -> str:
    """Return the metrics as a table."""
    names = {key: name for key, _, name, _ in RESULTS[record["kind"]]} | COUNTS
    metrics = record["metrics"]
    return table(
        ("metric", "value"),
        [(names[key], metrics[key]) for key in names if metrics.get(key) is not None],
    )


def training(record: Mapping[str, Any]) -> str:
    """Return where, how long and with what the model was trained, as a table."""
    numbers = {
        "seed": record["seed"],
        "hours": record.get("hours"),
        "tokens": record.get("tokens"),
        "tokens per second": record.get("tokens_per_second"),
    }
    rows = {**numbers, **record["hardware"], **record["versions"]}
    return table(("", ""), [(key, value) for key, value in rows.items() if value is not None])


def limits(kind: str, recipe: Mapping[str, Any]) -> str:
    """Say what the model is not good for."""
    lines = [LIMITS[kind], COMMON_LIMITS]
    if "from_scratch" in recipe:
        lines.append("- It has read nothing but its training data: other texts mean little to it.")
    return "\n".join(lines)


def licence(record: Mapping[str, Any]) -> str:
    """Say under which licence the weights are."""
    if record["license"]:
        return f"`{record['license']}`, as recorded when the model was trained."
    if (model := base_model(record["recipe"])) is not None:
        return f"None was recorded. That of {model} applies to what is made from it."
    return "None was recorded."
