"""Killed jobs: a second run keeps the results so far and does not repeat them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from projects import environment, make_project, run_snakemake, snakemake_command
from safetensors.torch import load_file
from tiny_models import make_model
from yaml_edits import set_keys

from aligners.core.rows import read_json, read_rows, write_rows

PAIRS = "results/synthetic/ethical/pairs/0.jsonl"
ALIGNER = "results/aligners/gpt2-miniature/ethical"


def kill_when(command: list[str], project: Path, condition: Callable[[], bool]) -> None:
    """Start a command, and kill it and its child processes as soon as the condition is true."""
    process = subprocess.Popen(
        command,
        cwd=project,
        env=environment(project),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 600
    while not condition():
        assert process.poll() is None, "the command ended before it was killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def use_local_teacher(project: Path) -> None:
    """Configure a tiny language model, loaded in the job, as the teacher."""
    model = make_model("gpt2", project / "tiny-model")
    recipe = {
        "engine": "transformers",
        "model": str(model),
        "revision": "main",
        "batch_tokens": 2000,
        "responses": {"prompt": "Question: {question}\nAnswer:", "max_new_tokens": 20},
    }
    (project / "config/llms/local.yaml").write_text(yaml.safe_dump(recipe))
    config = yaml.safe_load((project / "config/miniature.yaml").read_text())
    (project / "config/miniature.yaml").write_text(yaml.safe_dump({**config, "teacher": "local"}))
    # Its weights are random, so it writes no pair.
    pairs = {"max_new_tokens": 1500, "least_usable": 0.0}
    set_keys(project / "config/synthesis/closed-world.yaml", pairs=pairs)
    # The prompt with these principles fits into the tiny model's context.
    demonstration = {"input": "Why?", "response": "No.", "critique": "Rude.", "correction": "Hm."}
    principles = {
        "introduction": "Answer kindly.",
        "principles": [{"name": "kind", "text": "Be kind."}],
        "demonstrations": [demonstration],
    }
    path = project / "resources/criteria/ethical/principles.yaml"
    path.write_text(yaml.safe_dump(principles))


def generate_command() -> list[str]:
    """Return the command of the job that generates the pairs of one shard."""
    options = {
        "--criterion": "ethical",
        "--teacher": "local",
        "--synthesis": "closed-world",
        "--questions": "questions.jsonl",
        "--shard": "0",
        "--shards": "1",
        "--seed": "0",
        "--output": PAIRS,
    }
    words = [word for option in options.items() for word in option]
    return [sys.executable, "workflow/scripts/generate_pairs.py", *words]


def test_generation_continues_after_a_kill(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    use_local_teacher(project)
    questions = [
        {"id": f"{number:016x}", "question": f"What is the colour of lamp {number}?"}
        for number in range(120)
    ]
    write_rows(project / "questions.jsonl", questions)
    stage, name = PAIRS.rsplit("/", 1)
    ledger = project / "results/.working" / stage.replace("/", "+") / name

    def some_rows_are_written() -> bool:
        return ledger.exists() and ledger.read_bytes().count(b"\n") >= 10

    kill_when(generate_command(), project, some_rows_are_written)
    assert not (project / PAIRS).exists()
    written = ledger.read_bytes().rpartition(b"\n")[0].splitlines()
    assert 10 <= len(written) < 120  # The first line is the header.
    # The row of a line that the kill cut off is requested again.
    with ledger.open("ab") as handle:
        handle.write(b'{"key": "half a li')
    subprocess.run(
        generate_command(), cwd=project, env=environment(project), check=True, timeout=600
    )
    lines = ledger.read_bytes().splitlines()
    assert lines[: len(written)] == written
    assert len({json.loads(line)["key"] for line in lines[1:]}) == len(lines) - 1 == 120
    kept = read_rows(project / PAIRS)
    dropped = read_rows((project / PAIRS).with_suffix(".dropped.jsonl"))
    assert {row["id"] for row in [*kept, *dropped]} == {row["id"] for row in questions}


FULL_DISK = """
mount --types tmpfs --options size=96k none results/.working || exit 77
"$@"
status=$?
cp results/.working/*/0.jsonl kept.jsonl
exit $status
"""


def test_generation_continues_after_a_full_disk(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    questions = [
        {"id": f"{number:016x}", "question": f"What is the colour of lamp {number}?"}
        for number in range(300)
    ]
    write_rows(project / "questions.jsonl", questions)
    (project / "results/.working").mkdir(parents=True)
    command = [word.replace("local", "closed-world-teacher") for word in generate_command()]
    small_disk = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", FULL_DISK, "sh"]
    if shutil.which("unshare") is None:
        pytest.skip("the program unshare, which mounts a small disk, is not installed")
    result = subprocess.run(
        [*small_disk, *command],
        cwd=project,
        env=environment(project),
        capture_output=True,
        text=True,
        timeout=600,
    )
    if result.returncode in (1, 77) and "error:" not in result.stderr:
        pytest.skip(f"no small disk can be mounted here: {result.stderr.strip()}")
    last = result.stderr.strip().splitlines()[-1]
    for part in ("error: ", str(project), "disk is full", "free some space"):
        assert part in last
    assert "Traceback" not in result.stderr
    assert not (project / PAIRS).exists()
    # With free space, the job continues after the last complete line.
    complete = (project / "kept.jsonl").read_bytes().rpartition(b"\n")[0]
    stage, name = PAIRS.rsplit("/", 1)
    ledger = project / "results/.working" / stage.replace("/", "+") / name
    ledger.parent.mkdir()
    shutil.copy(project / "kept.jsonl", ledger)
    subprocess.run(command, cwd=project, env=environment(project), check=True, timeout=600)
    content = ledger.read_bytes()
    assert content.startswith(complete) and complete.count(b"\n") > 10
    assert content.count(b"\n") == 1 + len(questions)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which an aligner was trained without interruption."""
    project = make_project(tmp_path_factory.mktemp("uninterrupted"))
    run_snakemake(project, f"{ALIGNER}/metrics.json")
    return project


def test_training_continues_after_a_kill(trained: Path, tmp_path: Path) -> None:
    project = make_project(tmp_path)
    working = project / "results/.working"

    def a_checkpoint_is_written() -> bool:
        return any(working.glob("*aligners*/checkpoint-*/checksums.json"))

    command = snakemake_command(f"{ALIGNER}/metrics.json")
    kill_when(command, project, a_checkpoint_is_written)
    assert not (project / ALIGNER / "metrics.json").exists()
    checkpoints = [int(path.name.split("-")[1]) for path in working.glob("*/checkpoint-*")]
    run_snakemake(project, "--unlock", f"{ALIGNER}/metrics.json")
    run_snakemake(project, "--rerun-incomplete", f"{ALIGNER}/metrics.json")
    log = (project / "logs/train_aligner/gpt2-miniature/ethical.log").read_text()
    first = int(log.split("steps [")[0].split("%")[-1].split("/")[0])
    assert first >= max(checkpoints) > 0
    uninterrupted = read_json(trained / ALIGNER / "metrics.json")
    assert read_json(project / ALIGNER / "metrics.json") == uninterrupted
    weights = load_file(project / ALIGNER / "model/model.safetensors")
    for name, expected in load_file(trained / ALIGNER / "model/model.safetensors").items():
        assert weights[name].equal(expected), name
    assert not any(working.glob("*aligners*"))
