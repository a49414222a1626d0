"""Training: exact continuation after a kill, checkpoints, time limits, schedules, adapters."""

import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import gethostname
from typing import Any, NamedTuple

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from tiny_models import SHAPES, make_model
from tiny_training import recipe, train
from tiny_training_process import BEFORE_TRAINING, IN_SAVE, train_disturbed
from transformers import AutoModelForCausalLM, Trainer

from aligners.core.errors import UserError
from aligners.core.locks import acquire_lock
from aligners.core.rows import read_json
from aligners.correction.aligner import Aligner
from aligners.correction.input_format import PLAIN_FORMAT
from aligners.training.checkpoints import last_complete_checkpoint, write_checksums

LAUNCH = [sys.executable, "-m", "accelerate.commands.launch"]
# Ten steps, with an evaluation after every five.
DROPOUT = {"dropout": 0.2, "evaluations_per_epoch": 1}
NO_DROPOUT = {"dropout": 0.0, "evaluations_per_epoch": 1}


def weights(directory: Path) -> bytes:
    """Return the bytes of the trained weights."""
    return (directory / "model" / "model.safetensors").read_bytes()


def checkpoints(directory: Path) -> list[int]:
    """Return the steps of the existing checkpoints."""
    return sorted(int(path.name.split("-")[1]) for path in directory.glob("work/checkpoint-*"))


class Undisturbed(NamedTuple):
    directory: Path
    metrics: dict[str, Any]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A training without interruption; dropout draws random numbers at every step."""
    directory = tmp_path_factory.mktemp("undisturbed")
    return Undisturbed(directory, train(directory, recipe(**DROPOUT)))


@pytest.mark.parametrize("step", [7, 10], ids=["between evaluations", "at the end"])
def test_a_killed_training_continues_to_exactly_the_same_result(
    undisturbed: Undisturbed, tmp_path: Path, step: int
) -> None:
    killed = train_disturbed(tmp_path, DROPOUT, step, "SIGKILL")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert checkpoints(tmp_path) == [5] and not (tmp_path / "model").exists()
    # All losses and all weights are equal bit by bit.
    assert train(tmp_path, recipe(**DROPOUT)) == undisturbed.metrics
    assert weights(tmp_path) == weights(undisturbed.directory)


def test_a_training_writes_a_checkpoint_after_sigterm_and_continues_from_it(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    ended = train_disturbed(tmp_path, DROPOUT, 7, "SIGTERM")
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr
    assert "Traceback" not in ended.stderr
    # The checkpoint is of the step with the signal, so no step is computed twice.
    assert checkpoints(tmp_path) == [5, 7]
    assert train(tmp_path, recipe(**DROPOUT)) == undisturbed.metrics
    assert weights(tmp_path) == weights(undisturbed.directory)


def test_a_training_writes_a_checkpoint_when_its_launcher_is_killed(tmp_path: Path) -> None:
    launch = [*LAUNCH, "--quiet", "--config_file=config/accelerate/cpu.yaml"]
    # Returns after both processes have ended, since both have its standard output open.
    killed = train_disturbed(tmp_path, DROPOUT, 7, "kill launcher", *launch)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert (tmp_path / "work/checkpoint-7/checksums.json").exists()
    assert not (tmp_path / "model").exists()


def test_a_training_waits_for_another_that_writes_the_same_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    lock = acquire_lock(tmp_path / "work/lock")

    class EndOther(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if f"waiting for the process {os.getpid()}" in record.getMessage():
                lock.close()

    handler = EndOther()
    logging.getLogger("aligners").addHandler(handler)
    try:
        assert train(tmp_path, recipe(**NO_DROPOUT))["steps"] == 10
    finally:
        logging.getLogger("aligners").removeHandler(handler)
    assert lock.closed, "the training did not wait"


def test_a_process_ends_when_its_launcher_is_killed_before_the_training(tmp_path: Path) -> None:
    launch = [*LAUNCH, "--quiet", "--config_file=config/accelerate/cpu.yaml"]
    killed = train_disturbed(tmp_path, DROPOUT, 0, BEFORE_TRAINING, *launch)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not (tmp_path / "orphan").exists() and checkpoints(tmp_path) == []


def test_two_processes_train_the_same_as_one_and_one_continues_from_two(tmp_path: Path) -> None:
    two = [
        *LAUNCH,
        "--config_file=config/accelerate/ddp.yaml",
        "--num_processes=2",
        "--main_process_port=0",
    ]
    # Dropout differs between processes. Without it, two processes differ from one by rounding only.
    (tmp_path / "one").mkdir()
    alone = train(tmp_path / "one", recipe(**NO_DROPOUT))
    with ThreadPoolExecutor() as pool:
        # Both trainings run at the same time, to show that they use different ports.
        jobs = {}
        for name, action in {"two": "nothing", "both": "exit"}.items():
            (tmp_path / name).mkdir()
            jobs[name] = pool.submit(train_disturbed, tmp_path / name, NO_DROPOUT, 7, action, *two)
    for name, job in jobs.items():
        assert (job.result().returncode == 0) == (name == "two"), job.result().stderr[-2000:]
    assert checkpoints(tmp_path / "both") == [5]
    train(tmp_path / "both", recipe(**NO_DROPOUT))
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


def test_all_processes_end_if_one_receives_sigterm_during_a_save(tmp_path: Path) -> None:
    two = [
        *LAUNCH,
        "--config_file=config/accelerate/ddp.yaml",
        "--num_processes=2",
        "--main_process_port=0",
    ]
    ended = train_disturbed(tmp_path, NO_DROPOUT, 5, IN_SAVE, *two)
    assert ended.returncode != 0
    statuses = {path.name: path.read_text() for path in tmp_path.glob("exit-*")}
    assert statuses == dict.fromkeys(["exit-0", "exit-1"], str(128 + signal.SIGTERM)), ended.stderr
    assert checkpoints(tmp_path) == [5]
    assert train(tmp_path, recipe(**NO_DROPOUT))["steps"] == 10


def test_a_training_that_has_stopped_early_does_not_continue(tmp_path: Path) -> None:
    settings = recipe(learning_rate=0.9, warmup_steps=0, epochs=6, patience=1)
    first = train(tmp_path, settings)
    assert first["steps"] < 30
    assert train(tmp_path, settings) == first


def test_the_last_checkpoint_stays_until_the_next_is_complete(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = []

    def record_and_write(checkpoint: Path) -> None:
        """Record the complete checkpoints before another one becomes complete."""
        complete = tmp_path.glob("work/checkpoint-*/checksums.json")
        before.append(sorted(int(path.parent.name.split("-")[1]) for path in complete))
        write_checksums(checkpoint)

    monkeypatch.setattr("aligners.training.trainer.write_checksums", record_and_write)
    # The learning rate is so high that an early checkpoint is the best.
    settings = recipe(learning_rate=0.9, evaluations_per_epoch=5, patience=100)
    best = train(tmp_path, settings)["best_step"]
    assert best < 9 and before[-1] == [best, 9]
    assert all(step in complete for step, complete in enumerate(before[1:], start=1)), before


def test_a_damaged_checkpoint_is_deleted_and_the_one_before_it_is_used(
    undisturbed: Undisturbed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ended = train_disturbed(tmp_path, DROPOUT, 7, "SIGTERM")
    assert ended.returncode == 128 + signal.SIGTERM, ended.stderr
    damaged = tmp_path / "work/checkpoint-7/optimizer.pt"
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    assert train(tmp_path, recipe(**DROPOUT)) == undisturbed.metrics
    [message] = [text for text in caplog.messages if "checkpoint-7" in text]
    assert "optimizer.pt" in message
    assert weights(tmp_path) == weights(undisturbed.directory)


def test_an_incomplete_checkpoint_is_deleted_and_the_one_before_it_is_used(tmp_path: Path) -> None:
    assert last_complete_checkpoint(tmp_path) is None
    for step in (9, 10):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    write_checksums(tmp_path / "checkpoint-9")
    assert last_complete_checkpoint(tmp_path) == tmp_path / "checkpoint-9"
    assert not (tmp_path / "checkpoint-10").exists()


def test_a_non_finite_loss_ends_the_training_and_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Trainer.training_step

    def broken(self: Trainer, *args: Any, **kwargs: Any) -> Any:
        loss = step(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 6 else loss

    monkeypatch.setattr(Trainer, "training_step", broken)
    with pytest.raises(UserError, match=r"loss.* nan .*step 7 .*rows (\d+, )+") as raised:
        train(tmp_path, recipe(evaluations_per_epoch=1))
    assert "learning_rate" in str(raised.value)
    assert checkpoints(tmp_path) == [5]
    monkeypatch.undo()
    assert train(tmp_path, recipe(evaluations_per_epoch=1))["steps"] == 10


def test_float16_for_a_model_that_overflows_in_it_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a CPU, float32 is used instead of float16.
    monkeypatch.setattr("aligners.training.run.best_training_dtype", lambda name: torch.float16)
    sizes = {**SHAPES["phi"], "num_key_value_heads": 1, "head_dim": 16}
    shape = {"model_type": "gemma3_text", "vocabulary_size": 500, "config": sizes}
    with pytest.raises(UserError, match=r"tiny: .*gemma3_text .*float16.*dtype: float32"):
        train(tmp_path, recipe(from_scratch=shape, dtype="float16"))


def test_too_little_disk_space_is_an_error_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(UserError, match=r"work: 0\.00 GB .*3 checkpoints"):
        train(tmp_path, recipe())
    assert checkpoints(tmp_path) == []


def test_weights_that_stay_do_not_count_as_free_disk_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tmp_path, recipe(epochs=1))
    for step in checkpoints(tmp_path):
        shutil.rmtree(tmp_path / f"work/checkpoint-{step}")
    with (tmp_path / "work/random_weights/more.txt").open("wb") as file:
        file.truncate(10**12)
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(UserError, match=r"work: 0\.00 GB"):
        train(tmp_path, recipe(epochs=1))


def test_a_model_on_another_disk_needs_space_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no second disk")
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage._replace(free=0 if path == tmp_path else 10**9)
    )
    with tempfile.TemporaryDirectory(dir=memory) as working:
        (tmp_path / "work").symlink_to(working)
        with pytest.raises(UserError, match=rf"^{tmp_path}: 0\.00 GB .*the model"):
            train(tmp_path, recipe(epochs=1))


# Mounts a small disk for the checkpoints, and starts a command.
SMALL_DISK = 'mount --types tmpfs --options size=16m none "$0" || exit 77; exec "$@"'


def test_a_disk_that_gets_full_in_a_training_is_named(tmp_path: Path) -> None:
    if shutil.which("unshare") is None:
        pytest.skip("the program unshare, which mounts a small disk, is not installed")
    (tmp_path / "work").mkdir()
    small_disk = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SMALL_DISK]
    command = [*small_disk, str(tmp_path / "work"), sys.executable]
    result = train_disturbed(tmp_path, NO_DROPOUT, 3, "fill disk", *command)
    if result.returncode == 77 or "unshare" in result.stderr:
        pytest.skip(f"no small disk can be mounted here: {result.stderr.strip()}")
    [message] = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert str(tmp_path / "work") in message and "full" in message
    assert "Traceback" not in result.stderr and not (tmp_path / "model").exists()


def test_what_a_killed_job_left_of_the_model_is_removed(tmp_path: Path) -> None:
    killed = subprocess.Popen(["true"])
    killed.wait()
    left, running = (
        tmp_path / f".model.{gethostname()}.{process}.partial"
        for process in (killed.pid, os.getppid())
    )
    for directory in (left, running):
        directory.mkdir()
        (directory / "model.safetensors").write_text("half of it")
    train(tmp_path, recipe(epochs=1))
    assert not left.exists() and running.exists()


def test_a_training_ends_after_max_hours_with_its_best_weights(tmp_path: Path) -> None:
    metrics = train(tmp_path, recipe(max_hours=1e-9))
    assert metrics["steps"] == metrics["best_step"] == 1
    assert checkpoints(tmp_path) == [1]
    # All hours are used, so a job that is started again ends at once.
    assert train(tmp_path, recipe(max_hours=1e-9))["steps"] == 1


def test_checkpoints_are_also_written_after_checkpoint_minutes(tmp_path: Path) -> None:
    often = recipe(evaluations_per_epoch=1, checkpoint_minutes=1e-9)
    train(tmp_path, often)
    assert len(checkpoints(tmp_path)) == 2
    undisturbed_directory = tmp_path / "other"
    undisturbed_directory.mkdir()
    train(undisturbed_directory, recipe(evaluations_per_epoch=1))
    assert weights(tmp_path) == weights(undisturbed_directory)


def test_checkpoint_minutes_can_change_for_a_training_under_way(
    undisturbed: Undisturbed, tmp_path: Path
) -> None:
    killed = train_disturbed(tmp_path, DROPOUT, 7, "SIGKILL")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    often = {**DROPOUT, "checkpoint_minutes": 1e-9}
    killed = train_disturbed(tmp_path, often, 9, "SIGKILL")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert checkpoints(tmp_path) == [5, 8]
    assert train(tmp_path, recipe(**DROPOUT)) == undisturbed.metrics
    assert weights(tmp_path) == weights(undisturbed.directory)


SCHEDULES = {"cosine": [0.5, 0.0], "linear": [0.5, 0.0], "constant": [1.0, 1.0]}


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_learning_rate_follows_the_schedule_of_the_recipe(
    tmp_path: Path, schedule: str
) -> None:
    settings = recipe(schedule=schedule, warmup_steps=4, epochs=4, patience=99)
    losses = train(tmp_path, settings)["losses"]
    rates = [x["learning_rate"] / 3e-3 for x in losses if "learning_rate" in x]
    middle, end = SCHEDULES[schedule]
    assert len(rates) == 20
    assert rates[:5] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert rates[12] == pytest.approx(middle, abs=1e-6)
    assert rates[19] == pytest.approx(end, abs=0.07)


def test_the_validation_sample_has_the_number_of_rows_in_the_recipe(tmp_path: Path) -> None:
    assert train(tmp_path, recipe(epochs=1, validation_rows=5))["validation_rows"] == 5


@pytest.mark.parametrize("model_type", ["gpt2", "gpt_neox"], ids=["tied", "not tied"])
def test_adapters_are_merged_into_an_ordinary_model(tmp_path: Path, model_type: str) -> None:
    tied = model_type == "gpt2"
    settings = recipe(model_type, lora={"rank": 8}, epochs=6, learning_rate=2e-2)
    metrics = train(tmp_path, settings)
    first = next(x["validation_loss"] for x in metrics["losses"] if "validation_loss" in x)
    assert metrics["validation_loss"] < 0.9 * first
    # No server has a backbone with random weights, or adds the format's tokens.
    assert not list((tmp_path / "model").glob("adapter*"))
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "model")
    assert model.num_parameters() == metrics["parameters"]
    embeddings, head = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert torch.equal(embeddings, head) == tied
    before = AutoModelForCausalLM.from_pretrained(tmp_path / "work/random_weights")
    old = before.get_input_embeddings().weight
    # Only the embeddings of new tokens are trained.
    assert torch.equal(embeddings[: len(old)], old)
    aligner = Aligner.from_directory(tmp_path / "model")
    assert aligner.align(["What is the colour of the sea?"], ["It is red, they say."])


def test_adapters_are_kept_for_a_server_of_their_backbone(tmp_path: Path) -> None:
    base = make_model("gpt2", tmp_path / "base")
    settings = recipe(
        model=str(base), revision="main", from_scratch=None, lora={"rank": 8}, learning_rate=2e-2
    )
    train(tmp_path, settings, PLAIN_FORMAT)
    adapter = tmp_path / "model/adapter"
    assert sorted(path.name for path in adapter.iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    config = read_json(adapter / "adapter_config.json")
    assert (config["base_model_name_or_path"], config["revision"]) == (str(base), "main")
    with_adapter = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), adapter
    )
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype=torch.float32)
    ids = torch.tensor([[5, 6, 7, 8]])
    logits = merged(input_ids=ids).logits
    assert torch.allclose(with_adapter(input_ids=ids).logits, logits, atol=1e-5)
    backbone = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    assert not torch.allclose(backbone(input_ids=ids).logits, logits, atol=1e-2)


def test_training_json_records_recipe_data_and_speed(tmp_path: Path) -> None:
    metrics = train(tmp_path, recipe())
    record = read_json(tmp_path / "model/training.json")
    assert record["metrics"] == metrics
    settings = recipe().model_dump(mode="json", exclude_none=True, exclude={"inference"})
    assert (record["recipe"], record["seed"]) == (settings, 1)
    assert record["tokens"] > 2 * 36 * 10
    assert record["tokens_per_second"] > 0 and "hours" in record
    assert {"torch", "transformers", "peft", "python"} <= set(record["versions"])
    assert metrics["unpadded_share"] == 1


def test_tensorboard_files_are_written_if_the_recipe_requests_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    train(tmp_path, recipe(epochs=1, report_to="tensorboard"))
    assert list((tmp_path / "board").rglob("events.out.tfevents*"))
