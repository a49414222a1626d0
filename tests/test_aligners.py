"""Aligners: trained, saved, loaded, used; killed in training and continued."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny_models import SHAPES, make_model, rows
from transformers import AutoTokenizer

from aligners.aligner import Aligner
from aligners.aligner_training import CompletionCollator, encode_rows, train_aligner
from aligners.engines import Decoding
from aligners.errors import UserError
from aligners.input_format import OWN_FORMAT, InputFormat
from aligners.plots import plot_histogram, plot_losses
from aligners.training import LengthGroupedSampler, device_batches, last_complete_checkpoint

JI = InputFormat(prompt="Edit the pair: {question} | {response} ASSISTANT:")


def recipe(model_type: str = "gpt2", **changes: Any) -> dict[str, Any]:
    """Return a recipe as config/backbones/ holds them."""
    return {
        "from_scratch": {
            "model_type": model_type,
            "vocabulary_size": 500,
            "config": SHAPES[model_type],
        },
        "trust_remote_code": False,
        "dtype": "float32",
        "attention": "sdpa",
        "max_tokens": 96,
        "learning_rate": 3e-3,
        "schedule": "cosine",
        "warmup_steps": 2,
        "weight_decay": 0.01,
        "global_batch_size": 8,
        "micro_batch_size": 4,
        "epochs": 2,
        "evaluations_per_epoch": 2,
        "patience": 3,
        "gradient_checkpointing": False,
        "decoding": {"max_new_tokens": 12, "repetition_penalty": 1.0},
        "batch_tokens": 4096,
        **changes,
    }


def train(directory: Path, settings: dict[str, Any], input_format: InputFormat = OWN_FORMAT) -> Any:
    """Train on tiny rows into `directory`/model."""
    return train_aligner(
        settings,
        input_format,
        rows(36),
        rows(8, start=36),
        directory / "model",
        directory / "work",
        seed=1,
    )


@pytest.mark.parametrize("model_type", SHAPES)
def test_every_shape_trains_and_reloads(tmp_path: Path, model_type: str) -> None:
    metrics = train(tmp_path, recipe(model_type))
    validation = [x["validation_loss"] for x in metrics["losses"] if "validation_loss" in x]
    assert len(validation) == 4 and validation[-1] < validation[0]
    assert metrics["validation_loss"] == pytest.approx(min(validation), abs=1e-6)
    assert (metrics["steps"], metrics["train_rows"], metrics["dropped"]) == (10, 36, 0)
    aligner = Aligner.from_directory(tmp_path / "model")
    assert len(aligner.align(["What?"] * 3, ["a", "b", "a"])) == 3
    assert aligner.decoding == Decoding(max_new_tokens=12)


def test_a_trained_aligner_learns_the_response_and_its_end(tmp_path: Path) -> None:
    learnt = train(tmp_path, recipe(epochs=30, warmup_steps=20, learning_rate=1e-2))
    assert learnt["validation_loss"] < 0.1
    aligner = Aligner.from_directory(tmp_path / "model")
    seen = rows(10)
    # A text that did not stop at [DONE] would be longer: twelve tokens are allowed.
    assert aligner.align([row["question"] for row in seen], [row["response"] for row in seen]) == [
        row["aligned_response"] for row in seen
    ]


def test_an_external_format_ends_at_the_tokenizers_own_end(tmp_path: Path) -> None:
    train(tmp_path, recipe(epochs=40, warmup_steps=20, learning_rate=5e-3, patience=99), JI)
    aligner = Aligner.from_directory(tmp_path / "model")
    assert aligner.input_format == JI
    [row] = rows(1)
    assert aligner.align([row["question"]], [row["response"]]) == [row["aligned_response"]]


def test_labels_are_the_aligned_response_and_its_end(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_model("gpt2", tmp_path / "gpt2"))
    OWN_FORMAT.add_tokens(tokenizer)
    some = rows(6)
    encoded = encode_rows(tokenizer, OWN_FORMAT, some, 96, [])
    batch = CompletionCollator(0)(encoded)
    first_kept = batch["input_ids"].shape[1] - batch["logits_to_keep"]
    for row, ids, labels in zip(some, batch["input_ids"], batch["labels"], strict=True):
        chosen = labels[labels != -100].tolist()
        assert tokenizer.decode(chosen) == row["aligned_response"] + " [DONE]"
        places = (labels != -100).nonzero()[:, 0] + first_kept
        assert ids[places].tolist() == chosen
        assert tokenizer.decode(ids[: places[0]]).endswith(" [ALIGNED] ")
        # The logit before the first label is kept: it predicts that label.
        assert labels[0] == -100


def test_long_rows_are_cut_or_kept_beside(tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(make_model("gpt2", tmp_path / "gpt2"))
    OWN_FORMAT.add_tokens(tokenizer)
    fits, cut, question, answer = rows(4)
    cut = {**cut, "response": "word " * 200}
    question = {**question, "question": "word " * 200}
    answer = {**answer, "aligned_response": "word " * 200}
    dropped: list[dict[str, Any]] = []
    encoded = encode_rows(tokenizer, OWN_FORMAT, [fits, cut, question, answer], 96, dropped)
    assert [row["truncated"] for row in encoded] == [False, True]
    assert [row["reason"] for row in dropped] == ["too_long"] * 2
    assert len(encoded[1]["input_ids"]) <= 96
    text = tokenizer.decode(encoded[1]["input_ids"])
    assert text.startswith(cut["question"] + " [INIT] word word")
    assert text.endswith(f" [ALIGNED] {cut['aligned_response']} [DONE]")


def test_long_rows_are_counted_in_use(tmp_path: Path) -> None:
    train(tmp_path, recipe(epochs=1))
    aligner = Aligner.from_directory(tmp_path / "model")
    aligned = aligner.align(["What?", "word " * 200, "Who?"], ["fine", "as it was", "word " * 200])
    assert aligned[1] == "as it was"
    assert (aligner.truncated, aligner.unchanged) == (1, 1)


def test_rows_that_are_all_too_long_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="0 training and 0 validation rows are left of 36 and 8"):
        train(tmp_path, recipe(max_tokens=8))


def test_rows_follow_seed_and_epoch_alone_and_batches_are_of_similar_length() -> None:
    lengths = [(number * 37) % 101 for number in range(1000)]
    sampler = LengthGroupedSampler(lengths, batch_size=16, seed=3)
    torch.manual_seed(0)
    first = list(sampler)
    torch.manual_seed(1)
    assert list(sampler) == first and sorted(first) == list(range(1000))
    spreads = [
        max(lengths[i] for i in first[k : k + 16]) - min(lengths[i] for i in first[k : k + 16])
        for k in range(0, 992, 16)
    ]
    assert sorted(spreads)[len(spreads) // 2] <= 10
    sampler.set_epoch(1)
    assert list(sampler) != first


def test_the_global_batch_is_the_same_on_any_number_of_devices() -> None:
    for processes in (1, 2, 3, 4, 6, 8):
        micro, accumulation = device_batches(96, 5, processes)
        assert micro * accumulation * processes == 96 and micro <= 5
    with pytest.raises(UserError, match="cannot be shared evenly by 7 processes"):
        device_batches(96, 4, 7)


def test_a_half_written_checkpoint_is_passed_over(tmp_path: Path) -> None:
    assert last_complete_checkpoint(tmp_path) is None
    for step, state in ((9, '{"a": 1}'), (10, '{"a": '), (11, None)):
        (tmp_path / f"checkpoint-{step}").mkdir()
        if state:
            (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text(state)
    assert last_complete_checkpoint(tmp_path) == tmp_path / "checkpoint-9"


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_aligners, transformers

save = transformers.Trainer._save_checkpoint

def die_at(trainer, *args, **kwargs):
    save(trainer, *args, **kwargs)
    if trainer.state.global_step == {step}:
        os.kill(os.getpid(), signal.SIGKILL)

transformers.Trainer._save_checkpoint = die_at
test_aligners.train(Path({directory!r}), test_aligners.dropout_recipe())
"""


def dropout_recipe() -> dict[str, Any]:
    """Return a recipe whose training draws random numbers at every step."""
    settings = recipe()
    shape = settings["from_scratch"]
    dropout = {"resid_pdrop": 0.2, "embd_pdrop": 0.2, "attn_pdrop": 0.2}
    return recipe(from_scratch={**shape, "config": {**shape["config"], **dropout}})


@pytest.mark.parametrize("step", [3, 9], ids=["first epoch", "second epoch"])
def test_a_killed_training_ends_with_the_weights_of_an_undisturbed_one(
    tmp_path: Path, step: int
) -> None:
    directory = tmp_path / "killed"
    program = KILLED.format(tests=str(Path(__file__).parent), step=step, directory=str(directory))
    paths = os.pathsep.join(path for path in sys.path if path)
    killed = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": paths}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (directory / "model").exists()
    metrics = [train(directory, dropout_recipe()), train(tmp_path, dropout_recipe())]
    assert metrics[0] == metrics[1]
    weights = [
        (place / "model" / "model.safetensors").read_bytes() for place in (directory, tmp_path)
    ]
    assert weights[0] == weights[1]


def test_a_training_that_had_stopped_early_does_not_go_on(tmp_path: Path) -> None:
    settings = recipe(learning_rate=0.9, warmup_steps=0, epochs=6, patience=1)
    first = train(tmp_path, settings)
    assert first["steps"] < 30
    assert train(tmp_path, settings) == first


def test_pictures_are_png_files(tmp_path: Path) -> None:
    losses = [{"step": 1, "train_loss": 2.0}, {"step": 2, "validation_loss": 1.5}]
    plot_losses(losses, tmp_path / "losses.png")
    plot_histogram([0.1, 0.2, 0.9], tmp_path / "histogram.png", "cosine", threshold=0.5)
    for name in ("losses.png", "histogram.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
