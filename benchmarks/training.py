"""Training an aligner: our method, against one row at a time and against trl's packing.

All methods start from the same weights and use the same rows in the same order, the same global
batch and no dropout. Speeds count tokens of corrections, the only tokens with a loss. The model has
GPT-2's vocabulary, which causes most of a small model's computation.
"""

import importlib.util
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from figures import Figure, Figures, at_least, at_most
from texts import load_texts, make_rows
from torch.utils.data import SequentialSampler
from transformers import AutoConfig, AutoModelForCausalLM, Trainer, TrainingArguments

from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.validation import validate
from aligners.core.rows import Row, read_json, write_rows
from aligners.correction.input_format import PAPER_FORMAT
from aligners.correction.train import RowEncoder, load_backbone, train_aligner
from aligners.models.from_scratch import train_byte_tokenizer
from aligners.models.pretrained import best_training_dtype
from aligners.training.batches import GlobalBatches, RowDataset
from aligners.training.packing import IGNORED, pad
from aligners.training.record import Source
from aligners.training.run import TrainingRun
from aligners.training.trainer import mean_cross_entropy

VOCABULARY = 50_257
TOKENIZER_TEXTS = 5000
SMALL = {"n_layer": 6, "n_embd": 320, "n_head": 5}
LARGE = {"n_layer": 12, "n_embd": 768, "n_head": 12}
GLOBAL_BATCH = 16
VALIDATION_ROWS = 32
ROUNDS = 2
# Rows for the model of about 100 million parameters, which takes seconds per step.
LARGE_ROWS = 32
PROGRAM = Path(__file__).parent / "training_process.py"

Method = Callable[[Path], tuple[float, float]]


def measure(rows: int = 160) -> Figures:
    """Train on `rows` rows with each method, alternately, and a larger model on fewer rows."""
    source, texts = load_texts()
    made = [
        {"id": str(place), **row}
        for place, row in enumerate(make_rows(texts, rows + VALIDATION_ROWS))
    ]
    train, validation = made[:rows], made[rows:]
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        recipe = make_recipe(directory / "small", SMALL, texts)
        speeds, losses = compare_methods(Job(recipe, train, validation), directory)
        large = make_recipe(directory / "large", LARGE, texts)
        peak_share = Job(large, train[:LARGE_ROWS], validation[:1]).share_of_peak(
            directory / "large run"
        )
        one, two = (in_processes(recipe, train, validation, directory, count) for count in (1, 2))
    figures = {
        "texts": Figure(source),
        "rows": Figure(rows),
        "number format": Figure(str(best_training_dtype("auto"))),
        **{f"{name}, correction tokens/s": Figure(speed) for name, speed in speeds.items()},
        "ratio to one row at a time": Figure(
            speeds["ours"] / speeds["one row at a time"], at_least(1.5)
        ),
        "difference of the loss": Figure(
            abs(losses["ours"] / losses["one row at a time"] - 1), at_most(0.01)
        ),
        "share of the peak rate, about 100 M parameters": Figure(peak_share, at_least(0.5)),
        "two processes / one, tokens/s": Figure(
            two["tokens_per_second"] / one["tokens_per_second"], at_least(1.6)
        ),
        "difference of their losses": Figure(
            abs(two["metrics"]["validation_loss"] / one["metrics"]["validation_loss"] - 1),
            at_most(0.001),
        ),
        "share of tokens without padding": Figure(one["metrics"]["unpadded_share"], at_least(0.95)),
    }
    if "trl, packed" in speeds:
        figures["ratio to trl, packed"] = Figure(
            speeds["ours"] / speeds["trl, packed"], at_least(3)
        )
    return figures


def compare_methods(job: "Job", directory: Path) -> tuple[dict[str, float], dict[str, float]]:
    """Train with each method, alternately; return the best speed and the loss of each."""
    methods: dict[str, Method] = {"one row at a time": job.one_by_one, "ours": job.ours}
    if importlib.util.find_spec("trl"):
        methods["trl, packed"] = job.trl
    measured: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    for number in range(ROUNDS):
        for name, method in methods.items():
            measured[name].append(method(directory / f"{name} {number}"))
    speeds = {name: max(speed for speed, _ in runs) for name, runs in measured.items()}
    return speeds, {name: runs[0][1] for name, runs in measured.items()}


def make_recipe(directory: Path, shape: dict[str, int], texts: Sequence[str]) -> BackboneRecipe:
    """Write a GPT-2 with random weights, and return a recipe for it."""
    tokenizer = train_byte_tokenizer(texts[:TOKENIZER_TEXTS], 4000)
    torch.manual_seed(0)
    config = AutoConfig.for_model(
        "gpt2",
        vocab_size=VOCABULARY,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        **shape,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    own = {
        "model": str(directory),
        "revision": "main",
        "dropout": 0.0,
        "learning_rate": 1e-3,
        "warmup_steps": 2,
        "global_batch_size": GLOBAL_BATCH,
        "micro_batch_tokens": 1024,
        "epochs": 1,
        "evaluations_per_epoch": 1,
    }
    return validate(BackboneRecipe, own, directory)


def train_and_read(
    recipe: BackboneRecipe, train: list[Row], validation: list[Row], directory: Path
) -> dict[str, Any]:
    """Train like the workflow, and return training.json."""
    working = directory / "working"
    working.mkdir(parents=True)
    source = Source("aligner", "benchmark", "benchmark", [])
    training = TrainingRun(source, recipe, 0, directory / "model", working)
    train_aligner(training, PAPER_FORMAT, train, validation)
    record: dict[str, Any] = read_json(directory / "model" / "training.json")
    return record


def in_processes(
    recipe: BackboneRecipe, train: list[Row], validation: list[Row], directory: Path, count: int
) -> dict[str, Any]:
    """Train in `count` processes of one thread each, and return training.json."""
    work = directory / f"{count} processes"
    work.mkdir()
    write_rows(work / "train.jsonl", train)
    write_rows(work / "validation.jsonl", validation)
    (work / "recipe.json").write_text(recipe.model_dump_json())
    launch = ["accelerate.commands.launch", "--quiet", "--main_process_port=0"]
    config = "ddp" if count > 1 else "cpu"
    options = [f"--config_file=config/accelerate/{config}.yaml", f"--num_processes={count}"]
    threads = "--num_cpu_threads_per_process=1"
    command = [sys.executable, "-m", *launch, *options, threads, str(PROGRAM), str(work)]
    subprocess.run(command, check=True, env=os.environ)
    record: dict[str, Any] = read_json(work / "model" / "training.json")
    return record


class Job:
    """A training with several methods.

    Each method returns tokens of corrections per second, and the final validation loss.
    """

    def __init__(self, recipe: BackboneRecipe, train: list[Row], validation: list[Row]):
        """Encode the rows."""
        self.recipe, self.train, self.validation = recipe, train, validation
        tokenizer, _ = load_backbone(recipe.source(), PAPER_FORMAT, recipe.dropout)
        self.encoded, self.held_out = (
            RowEncoder(tokenizer, PAPER_FORMAT, recipe.max_tokens).encode(rows)
            for rows in (train, validation)
        )
        self.correction_tokens = sum(len(r["input_ids"]) - r["prompt_tokens"] for r in self.encoded)

    def ours(self, directory: Path) -> tuple[float, float]:
        """Train like the workflow."""
        record = train_and_read(self.recipe, self.train, self.validation, directory)
        seconds = record["tokens"] / record["tokens_per_second"]
        return self.correction_tokens / seconds, record["metrics"]["validation_loss"]

    def share_of_peak(self, directory: Path) -> float:
        """Train the model of shape LARGE, and return its rate of operations over the device's.

        This is the model FLOPs utilisation of PaLM (arXiv 2204.02311, appendix B), relative to the
        measured rate of matrix products in the same number format.
        """
        record = train_and_read(self.recipe, self.train, self.validation, directory)
        layers, width = LARGE["n_layer"], LARGE["n_embd"]
        # The matrices of a GPT-2 layer have 12 width**2 weights.
        per_token = 2 * 12 * layers * width**2
        forward = 2 * VOCABULARY * width * self.correction_tokens
        for row in self.encoded:
            tokens = len(row["input_ids"])
            # Attention: two products of tokens x width x tokens, of which half is masked.
            forward += per_token * tokens + 2 * layers * width * tokens**2
        seconds = record["tokens"] / record["tokens_per_second"]
        # The backward pass takes twice as many operations as the forward pass.
        return 3 * forward / seconds / matrix_product_rate(best_training_dtype("auto"))

    def one_by_one(self, directory: Path) -> tuple[float, float]:
        """Train with one row at a time, in float32, with logits for all tokens."""
        _, model = load_backbone(self.recipe.source(), PAPER_FORMAT, self.recipe.dropout)
        lengths = [len(row["input_ids"]) for row in self.encoded]
        [*batches] = GlobalBatches(lengths, GLOBAL_BATCH, 1, packed=True).global_batches(0)
        rows = [
            {"input_ids": row["input_ids"], "labels": with_ignored(row)}
            for row in (self.encoded[place] for batch in batches for place in batch)
        ]
        trainer = InOrder(
            model=model, args=self.arguments(directory), train_dataset=RowDataset(rows)
        )
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
        return self.correction_tokens / seconds, self.loss(model)

    def trl(self, directory: Path) -> tuple[float, float]:
        """Train with trl's SFTTrainer, which packs rows into sequences of 1,024 tokens."""
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        tokenizer, model = load_backbone(self.recipe.source(), PAPER_FORMAT, self.recipe.dropout)
        rows = [
            {
                "input_ids": row["input_ids"],
                "completion_mask": [
                    int(place >= row["prompt_tokens"]) for place in range(len(row["input_ids"]))
                ],
            }
            for row in self.encoded
        ]
        common = self.arguments(directory).to_dict()
        names = ("output_dir", "learning_rate", "warmup_steps", "report_to", "use_cpu")
        arguments = SFTConfig(
            **{name: common[name] for name in names},
            num_train_epochs=1,
            per_device_train_batch_size=1,
            packing=True,
            max_length=1024,
            completion_only_loss=True,
            dataset_kwargs={"skip_prepare_dataset": False},
            disable_tqdm=True,
            save_strategy="no",
            bf16=False,
            gradient_checkpointing=False,
        )
        trainer = SFTTrainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
        )
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
        return self.correction_tokens / seconds, self.loss(model)

    def arguments(self, directory: Path) -> TrainingArguments:
        """Return the Trainer's settings for the other methods."""
        return TrainingArguments(
            output_dir=str(directory),
            num_train_epochs=1,
            per_device_train_batch_size=1,
            gradient_accumulation_steps=GLOBAL_BATCH,
            learning_rate=self.recipe.learning_rate,
            lr_scheduler_type="cosine",
            warmup_steps=self.recipe.warmup_steps,
            weight_decay=self.recipe.weight_decay,
            use_cpu=not torch.cuda.is_available(),
            report_to="none",
            save_strategy="no",
            disable_tqdm=True,
        )

    @torch.no_grad()
    def loss(self, model: Any) -> float:
        """Return the mean loss over the tokens of the validation rows' corrections."""
        model.eval()
        total, count = 0.0, 0
        for row in self.held_out:
            inputs = pad([row])
            labels = inputs.pop("labels").to(model.device)
            inputs["input_ids"] = inputs["input_ids"].to(model.device)
            inputs["attention_mask"] = inputs["attention_mask"].to(model.device)
            total += mean_cross_entropy(model(**inputs), labels, 1).item()
            count += int((labels != IGNORED).sum())
        return total / count


def matrix_product_rate(dtype: torch.dtype) -> float:
    """Return the highest measured rate of operations in a product of two square matrices."""
    device, side = ("cuda", 8192) if torch.cuda.is_available() else ("cpu", 1536)
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = 0.0
    for _ in range(4):
        started = time.perf_counter()
        # Reading a value waits for the device.
        (left @ right)[0, 0].item()
        best = max(best, 2 * side**3 / (time.perf_counter() - started))
    return best


class InOrder(Trainer):
    """A Trainer that keeps the order of the rows."""

    def _get_train_sampler(self, train_dataset: Any = None) -> SequentialSampler:
        return SequentialSampler(train_dataset or self.train_dataset)


def with_ignored(row: dict[str, Any]) -> list[int]:
    """Return the labels of all tokens, with the prompt ignored."""
    start = row["prompt_tokens"]
    return [IGNORED] * start + row["input_ids"][start:]
