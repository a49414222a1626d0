"""Training: continued bit by bit after a kill, ended by SIGTERM, chosen by validation loss."""

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from projects import SUPPORT
from safetensors.torch import load_file
from tiny_training import recipe, train
from transformers import AutoModelForCausalLM, Trainer

from aligners.core.errors import UserError
from aligners.core.rows import read_json
from aligners.correction.aligner import Aligner
from aligners.training.checkpoints import last_complete_checkpoint, write_checksums

HERE = Path(__file__).parent
LAUNCH = [sys.executable, "-m", "accelerate.commands.launch"]
# Each evaluation is after five steps, and there are ten.
DROPOUT = recipe(dropout=0.2, evaluations_per_epoch=1)


def weights(directory: Path) -> bytes:
    """Return the bytes of the trained weights."""
    return (directory / "model" / "model.safetensors").read_bytes()


def checkpoints(directory: Path) -> list[int]:
    """Return the steps of the checkpoints that there are."""
    return sorted(int(path.name.split("-")[1]) for path in directory.glob("work/checkpoint-*"))


class Undisturbed(NamedTuple):
    directory: Path
    metrics: dict[str, Any]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A training with dropout, which draws random numbers at every step."""
    directory = tmp_path_factory.mktemp("undisturbed")
    return Undisturbed(directory, train(directory, DROPOUT))


def in_a_process(
    directory: Path, at_step: str, settings: str = "test_training.DROPOUT", *launch: str
) -> subprocess.CompletedProcess[str]:
    """Train in another process, which does something at the end of each step."""
    program = directory / "program.py"
    program.write_text(
        f"""
import os, signal, sys, time
from pathlib import Path
sys.path[:0] = {[str(HERE), str(SUPPORT), *filter(None, sys.path)]!r}
import test_training
from aligners.training.callbacks import ShowProgress

update = ShowProgress.on_step_end

def on_step_end(self, args, state, control, **kwargs):
    update(self, args, state, control)
    step = state.global_step
    {at_step}

ShowProgress.on_step_end = on_step_end
test_training.train(Path({str(directory)!r}), {settings})
"""
    )
    return subprocess.run(
        [*(launch or [sys.executable]), str(program)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )


def die(directory: Path, step: int, how: str = "SIGKILL") -> subprocess.CompletedProcess[str]:
    """Train in another process, and send it a signal after a step."""
    return in_a_process(directory, f"if step == {step}: os.kill(os.getpid(), signal.{how})")


@pytest.mark.parametrize("step", [7, 10], ids=["between evaluations", "at the end"])
def test_a_killed_training_ends_as_an_undisturbed_one(
    undisturbed: Undisturbed, tmp_path: Path, step: int
) -> None:
    killed = die(tmp_path, step)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert checkpoints(tmp_path) == [5] and not (tmp_path / "model").exists()
    # To the last bit: every training loss, every validation loss, the weights.
    assert train(tmp_path, DROPOUT) == undisturbed.metrics
    assert weights(tmp_path) == weights(undisturbed.directory)


def test_a_training_writes_a_checkpoint_after_sigterm_and_continues_from_it(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    ended = die(tmp_path, 7, "SIGTERM")
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr
    assert "Traceback" not in ended.stderr
    # The checkpoint is of the step at which the signal came: nothing is computed twice.
    assert checkpoints(tmp_path) == [5, 7]
    assert train(tmp_path, DROPOUT) == undisturbed.metrics
    assert weights(tmp_path) == weights(undisturbed.directory)


def test_a_training_whose_launcher_is_killed_ends_with_a_checkpoint(tmp_path: Path) -> None:
    kill_launcher = "if step == 7: os.kill(os.getppid(), signal.SIGKILL); time.sleep(2)"
    launch = [*LAUNCH, "--quiet", "--config_file=config/accelerate/cpu.yaml"]
    in_a_process(tmp_path, kill_launcher, "test_training.DROPOUT", *launch)
    deadline = time.monotonic() + 60
    while not (tmp_path / "work/checkpoint-7/checksums.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert not (tmp_path / "model").exists()


def test_two_processes_train_what_one_does_and_one_goes_on_from_two(tmp_path: Path) -> None:
    two = [
        *LAUNCH,
        "--config_file=config/accelerate/ddp.yaml",
        "--num_processes=2",
        "--main_process_port=0",
    ]
    # Dropout draws other numbers in other processes; without it, two are one but for rounding.
    settings = "test_training.recipe(dropout=0.0, evaluations_per_epoch=1)"
    (tmp_path / "one").mkdir()
    alone = train(tmp_path / "one", recipe(dropout=0.0, evaluations_per_epoch=1))
    at_step = {"two": "pass", "both": "if step == 7: sys.exit(1)"}
    with ThreadPoolExecutor() as pool:
        # At once: they must not meet on a port.
        jobs = {}
        for name, what in at_step.items():
            (tmp_path / name).mkdir()
            jobs[name] = pool.submit(in_a_process, tmp_path / name, what, settings, *two)
    for name, job in jobs.items():
        assert (job.result().returncode == 0) == (name == "two"), job.result().stderr[-2000:]
    assert checkpoints(tmp_path / "both") == [5]
    train(tmp_path / "both", recipe(dropout=0.0, evaluations_per_epoch=1))
    record = read_json(tmp_path / "two/model/training.json")
    assert record["hardware"]["processes"] == 2
    metrics = record["metrics"]
    assert metrics["validation_loss"] == pytest.approx(alone["validation_loss"], rel=1e-4)
    for mine, theirs in zip(metrics["losses"], alone["losses"], strict=True):
        for name, value in theirs.items():
            assert mine[name] == pytest.approx(value, rel=1e-3), theirs
    expected = load_file(tmp_path / "one/model/model.safetensors")
    for name in ("two", "both"):
        found = load_file(tmp_path / name / "model/model.safetensors")
        for key, value in expected.items():
            assert torch.allclose(found[key], value, atol=2e-4), (name, key)


def test_a_training_that_had_stopped_early_does_not_go_on(tmp_path: Path) -> None:
    settings = recipe(learning_rate=0.9, warmup_steps=0, epochs=6, patience=1)
    first = train(tmp_path, settings)
    assert first["steps"] < 30
    assert train(tmp_path, settings) == first


def test_a_damaged_checkpoint_is_deleted_and_the_one_before_it_is_used(
    undisturbed: Undisturbed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert die(tmp_path, 7, "SIGTERM").returncode == 128 + signal.SIGTERM
    damaged = tmp_path / "work/checkpoint-7/optimizer.pt"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    assert train(tmp_path, DROPOUT) == undisturbed.metrics
    assert "checkpoint-7: optimizer.pt is damaged; continuing from the checkpoint be" in caplog.text
    assert weights(tmp_path) == weights(undisturbed.directory)


def test_an_incomplete_checkpoint_is_deleted_and_the_one_before_it_is_used(tmp_path: Path) -> None:
    assert last_complete_checkpoint(tmp_path) is None
    for step in (9, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    write_checksums(tmp_path / "checkpoint-9")
    assert last_complete_checkpoint(tmp_path) == tmp_path / "checkpoint-9"
    assert not (tmp_path / "checkpoint-10").exists()


def test_a_non_finite_loss_ends_the_training_and_keeps_the_checkpoint_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.training_step

    def broken(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        loss = step(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 6 else loss

    monkeypatch.setattr(Trainer, "training_step", broken)
    with pytest.raises(UserError, match=r"loss is nan at step 7 \(rows (\d+, )+") as raised:
        train(tmp_path, recipe(evaluations_per_epoch=1))
    assert "lower learning_rate" in str(raised.value)
    assert checkpoints(tmp_path) == [5]
    monkeypatch.undo()
    assert train(tmp_path, recipe(evaluations_per_epoch=1))["steps"] == 10


def test_too_little_disk_space_is_an_error_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(UserError, match=r"work: 0\.00 GB are free, but up to 3 checkpoints"):
        train(tmp_path, recipe())
    assert checkpoints(tmp_path) == []


def test_hours_end_a_training_with_its_best_weights(tmp_path: Path) -> None:
    metrics = train(tmp_path, recipe(max_hours=1e-9))
    assert metrics["steps"] == metrics["best_step"] == 1
    assert checkpoints(tmp_path) == [1]
    # All hours are used up: a job that is started again ends at once.
    assert train(tmp_path, recipe(max_hours=1e-9))["steps"] == 1


def test_checkpoints_come_after_minutes_too(tmp_path: Path) -> None:
    slow = recipe(evaluations_per_epoch=1, checkpoint_minutes=1e-9)
    train(tmp_path, slow)
    assert len(checkpoints(tmp_path)) == 2
    undisturbed_directory = tmp_path / "other"
    undisturbed_directory.mkdir()
    train(undisturbed_directory, recipe(evaluations_per_epoch=1))
    assert weights(tmp_path) == weights(undisturbed_directory)


SCHEDULES = {"cosine": [0.5, 0.0], "linear": [0.5, 0.0], "constant": [1.0, 1.0]}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_learning_rate_is_what_the_recipe_says(tmp_path: Path, schedule: str) -> None:
    settings = recipe(schedule=schedule, warmup_steps=4, epochs=4, patience=99)
    losses = train(tmp_path, settings)["losses"]
    rates = [x["learning_rate"] / 3e-3 for x in losses if "learning_rate" in x]
    middle, end = SCHEDULES[schedule]
    assert len(rates) == 20
    assert rates[:5] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert rates[12] == pytest.approx(middle, abs=1e-6)
    assert rates[19] == pytest.approx(end, abs=0.07)


def test_validation_is_a_seeded_sample(tmp_path: Path) -> None:
    assert train(tmp_path, recipe(epochs=1, validation_rows=5))["validation_rows"] == 5


@pytest.mark.parametrize("model_type", ["gpt2", "gpt_neox"], ids=["tied", "not tied"])
def test_adapters_are_merged_into_a_plain_model(tmp_path: Path, model_type: str) -> None:
    tied = model_type == "gpt2"
    settings = recipe(model_type, lora={"rank": 8}, epochs=6, learning_rate=2e-2)
    metrics = train(tmp_path, settings)
    first = next(x["validation_loss"] for x in metrics["losses"] if "validation_loss" in x)
    assert metrics["validation_loss"] < 0.9 * first
    assert not list((tmp_path / "model").glob("adapter*"))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert model.num_parameters() == metrics["parameters"]
    embeddings, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert torch.equal(embeddings, head) == tied
    before = AutoModelForCausalLM.from_pretrained(tmp_path / "work/random_weights")
    old = before.get_input_embeddings().weight
    # Of the embeddings, those of new tokens alone are trained.
    assert torch.equal(embeddings[: len(old)], old)
    aligner = Aligner.from_directory(tmp_path / "model")
    assert aligner.align(["What is the colour of the sea?"], ["It is red, they say."])


def test_training_json_says_from_what_and_how(tmp_path: Path) -> None:
    metrics = train(tmp_path, recipe())
    record = read_json(tmp_path / "model/training.json")
    assert record["metrics"] == metrics
    assert (
        record["recipe"] == recipe().model_dump(mode="json", exclude_none=True)
        and record["seed"] == 1
    )
    assert record["tokens"] > 2 * 36 * 10
    assert record["tokens_per_second"] > 0 and record["hours"] >= 0
    assert {"torch", "transformers", "peft", "python"} <= set(record["versions"])
    assert metrics["unpadded_share"] == 1


def test_tensorboard_files_are_written_where_the_recipe_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    train(tmp_path, recipe(epochs=1, report_to="tensorboard"))
    assert list((tmp_path / "board").rglob("events.out.tfevents*"))
