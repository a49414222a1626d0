"""One process of a training that is shared by several; started by benchmarks/training.py."""

import sys
from pathlib import Path

from aligners.core.rows import read_json, read_rows
from aligners.correction.input_format import OWN_FORMAT
from aligners.correction.train import train_aligner
from aligners.training.record import Source

work = Path(sys.argv[1])
(work / "working").mkdir(exist_ok=True)
train_aligner(
    read_json(work / "recipe.json"),
    OWN_FORMAT,
    read_rows(work / "train.jsonl"),
    read_rows(work / "validation.jsonl"),
    work / "model",
    work / "working",
    0,
    Source("aligner", "benchmark", "benchmark", []),
)
