"""The `served` engine: a server for the job, gone when the job is, however that ends."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from faulty_server import answer_to
from projects import ROOT
from recipes import make_recipe
from tiny_models import make_model

from aligners.configuration.kinds.llms import ServedRecipe, TransformersRecipe
from aligners.core.completions import Completion, Decoding, Request
from aligners.core.errors import UserError
from aligners.llms.engines import load_engine

# The pipe keeps the server's standard input open; the shell has children of its own to stop.
FAULTY = (
    f"sh -c 'sleep 600 | {sys.executable} {ROOT}/tests/support/faulty_server.py --port {{port}}'"
)
REQUESTS = [Request(f"{number:016x}", f"question {number}") for number in range(5)]
JOB = """
import signal, sys, time
from aligners.configuration.kinds.llms import ServedRecipe
from aligners.core.completions import Decoding, Request
from aligners.llms.engines import load_engine
# What a shell runs in the background ignores it.
signal.signal(signal.SIGINT, signal.default_int_handler)
engine = load_engine(ServedRecipe.model_validate_json(sys.argv[1]))
for completion in engine([Request("0", "Hello")], Decoding(5)):
    print(completion.text, flush=True)
if sys.argv[2] == "stay":
    time.sleep(600)
"""


def served(command: str, model: str = "m", **keys: Any) -> ServedRecipe:
    """Return a complete recipe."""
    given = {"engine": "served", "model": model, "revision": "main", "command": command}
    return make_recipe(ServedRecipe, **{**given, "startup_seconds": 120, **keys})


@pytest.fixture(autouse=True)
def in_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Logs of servers go to a temporary directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def start_job(recipe: ServedRecipe, directory: Path, mode: str) -> subprocess.Popen[str]:
    """Start a job that asks a server for one completion, and wait for that."""
    job = subprocess.Popen(
        [sys.executable, "-c", JOB, recipe.model_dump_json(), mode],
        cwd=directory,
        env={**os.environ, "SERVER_OF_TEST": str(directory)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert job.stdout and job.stdout.readline().strip() == answer_to("Hello")
    return job


def running(directory: Path) -> list[psutil.Process]:
    """Return the processes that the job of a test has started, by a mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SERVER_OF_TEST") == str(directory):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("end", ["by itself", signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_of_the_server(tmp_path: Path, end: str | signal.Signals) -> None:
    job = start_job(served(FAULTY), tmp_path, "end" if end == "by itself" else "stay")
    if isinstance(end, signal.Signals):
        assert len(running(tmp_path)) >= 4  # job, guard, shell and server, at least
        os.killpg(job.pid, end)
    job.wait(60)
    deadline = time.monotonic() + 30
    while running(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running(tmp_path) == []


def test_a_server_that_outlives_its_welcome_is_killed(tmp_path: Path) -> None:
    stubborn = FAULTY.replace("sh -c '", 'sh -c \'trap "" TERM; ')
    job = start_job(served(stubborn), tmp_path, "stay")
    job.kill()
    job.wait(60)
    deadline = time.monotonic() + 40
    while running(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running(tmp_path) == []


def test_a_server_that_fails_to_start_shows_its_last_lines() -> None:
    command = "sh -c 'echo no memory on port {port}; exit 3'"
    with pytest.raises(UserError, match=r"status 3(.|\n)*no memory on port \d+") as caught:
        load_engine(served(command))
    [log] = Path("logs/servers").iterdir()
    assert str(log) in str(caught.value)


def test_a_server_that_is_never_ready() -> None:
    with pytest.raises(UserError, match="was not ready within 1 seconds"):
        load_engine(served("sh -c 'echo {port}; sleep 600'", startup_seconds=1))


def test_a_program_that_is_not_installed() -> None:
    with pytest.raises(UserError, match="no-such-server: no such program; install"):
        load_engine(served("no-such-server --port {port}"))


def test_a_command_without_a_closing_quote() -> None:
    with pytest.raises(UserError, match="key command: No closing quotation"):
        load_engine(served("serve 'it --port {port}"))


def test_a_server_that_dies_stops_the_job_with_its_last_lines() -> None:
    engine = load_engine(served(FAULTY.replace("sleep 600", "sleep 4")))
    with pytest.raises(UserError, match="ended with status"):
        for number in range(100):
            list(engine([Request(str(number), f"question {number}")], Decoding(5)))
            time.sleep(0.1)


# The real server


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = make_model("gpt2", tmp_path_factory.mktemp("models") / "tiny")
    config = json.loads((directory / "tokenizer_config.json").read_text())
    config["chat_template"] = "{% for message in messages %}{{ message['content'] }} {% endfor %}"
    (directory / "tokenizer_config.json").write_text(json.dumps(config))
    return directory


@pytest.fixture(scope="module")
def transformers_serve() -> Iterator[str]:
    program = shlex.quote(str(Path(sys.executable).with_name("transformers")))
    offline = "env HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1"
    yield f"{offline} {program} serve {{model}} --host 127.0.0.1 --port {{port}} --device cpu"


@pytest.mark.parametrize("chat", [False, True])
def test_transformers_serve_writes_what_the_model_writes_in_the_job(
    transformers_serve: str, model: Path, chat: bool
) -> None:
    decoding = Decoding(max_new_tokens=8)
    keys = {"chat": chat, "concurrency": 2}
    remote = list(load_engine(served(transformers_serve, str(model), **keys))(REQUESTS, decoding))
    recipe = {"engine": "transformers", "model": str(model), "revision": "main", "chat": chat}
    here = list(load_engine(make_recipe(TransformersRecipe, **recipe))(REQUESTS, decoding))
    texts = [
        {item.id: item.text for item in items if isinstance(item, Completion)}
        for items in (remote, here)
    ]
    assert len(texts[0]) == len(REQUESTS)
    assert texts[0] == texts[1]
    assert all(item.tokens_in > 0 and item.tokens_out > 0 for item in remote)  # type: ignore[union-attr]


@pytest.mark.gpu
def test_vllm_serves_the_model(tmp_path: Path) -> None:
    """Not run by those who have no GPU: the server that most will use.

    vLLM lives in an environment of its own (docs/engines.md); ALIGNERS_VLLM names its program.
    """
    program = os.environ.get("ALIGNERS_VLLM") or shutil.which("vllm")
    if program is None or not torch.cuda.is_available():
        pytest.skip("needs a GPU, and vLLM on PATH or its program in ALIGNERS_VLLM")
    # Heads of 64, as vLLM's kernels want them.
    model = make_model("gpt2", tmp_path / "model", n_embd=128, n_head=2)
    command = (
        f"{shlex.quote(program)} serve {{model}} --host 127.0.0.1 --port {{port}}"
        " --tensor-parallel-size {gpus} --enable-prefix-caching --gpu-memory-utilization 0.3"
    )
    recipe = served(command, str(model), startup_seconds=600)
    results = list(load_engine(recipe)(REQUESTS, Decoding(max_new_tokens=8)))
    assert {result.id for result in results} == {request.id for request in REQUESTS}
    assert all(isinstance(result, Completion) for result in results)
