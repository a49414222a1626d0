"""One process of a training with several processes; started by benchmarks/training.py."""

import sys
from pathlib import Path

from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.core.rows import read_rows
from aligners.correction.input_format import PAPER_FORMAT
from aligners.correction.train import train_aligner
from aligners.training.record import Source
from aligners.training.run import TrainingRun

work = Path(sys.argv[1])
(work / "working").mkdir(exist_ok=True)
source = Source("aligner", "benchmark", "benchmark", [])
recipe = BackboneRecipe.model_validate_json((work / "recipe.json").read_text())
train_aligner(
    TrainingRun(source, recipe, 0, work / "model", work / "working"),
    PAPER_FORMAT,
    read_rows(work / "train.jsonl"),
    read_rows(work / "validation.jsonl"),
)
