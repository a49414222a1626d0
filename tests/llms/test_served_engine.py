"""The `served` engine: it starts a server for the job and stops it when the job ends."""

import json
import os
import shlex
import shutil
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from recipes import make_recipe
from served_jobs import FAULTY, check_that_all_end, running, served, start_job
from tiny_models import make_model

from aligners.configuration.kinds.llms import ServedRecipe, TransformersRecipe
from aligners.core.completions import Completion, Decoding, Request
from aligners.core.errors import UserError
from aligners.llms.engines import load_engine, server_guard

# More than the job needs to see five times that nothing listens.
GUARD_PAUSE_SECONDS = 3
# A server that answers one request, of its health, and then listens no more.
DEAF = """
import http.server, sys, time
class Health(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
with http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Health) as server:
    server.handle_request()
time.sleep(600)
"""
REQUESTS = [Request(f"{number:016x}", f"question {number}") for number in range(5)]


@pytest.fixture(autouse=True)
def in_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the working directory temporary, because the logs of servers are written there."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("end", ["by itself", signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_no_process_of_the_server_runs_after_the_job(
    tmp_path: Path, end: str | signal.Signals
) -> None:
    job = start_job(served(FAULTY), tmp_path, "end" if end == "by itself" else "stay")
    if isinstance(end, signal.Signals):
        assert len(running(tmp_path)) >= 4  # at least the job, guard, shell and server
        os.killpg(job.pid, end)
    job.wait(300)
    check_that_all_end(tmp_path)


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    stubborn = FAULTY.replace("sh -c '", 'sh -c \'trap "" TERM; ')
    job = start_job(served(stubborn), tmp_path, "stay")
    job.kill()
    job.wait(300)
    check_that_all_end(tmp_path)


def error_message(recipe: ServedRecipe) -> str:
    """Return the message of the error with which the engine fails to start."""
    with pytest.raises(UserError) as caught:
        load_engine(recipe)
    return str(caught.value)


def test_a_message_about_a_server_that_ends_at_start_has_its_last_lines() -> None:
    message = error_message(served("sh -c 'echo no memory on port {port}; exit 3'"))
    [log] = Path("logs/servers").iterdir()
    for part in ("server of m", "status 3", str(log), "no memory on port"):
        assert part in message


@pytest.mark.parametrize(
    ("name", "found"), [("KILL", "SIGKILL, as when the memory is used up"), ("SEGV", "SIGSEGV")]
)
def test_a_message_names_the_signal_that_ended_a_server(name: str, found: str) -> None:
    message = error_message(served(f"sh -c 'echo {{port}}; kill -{name} $$'"))
    assert f"the server of m ended by {found}; " in message


def test_a_server_that_is_never_ready_stops_the_job() -> None:
    message = error_message(served("sh -c 'echo {port}; sleep 600'", startup_seconds=1))
    for part in ("server of m", "1 seconds"):
        assert part in message


def test_a_program_that_is_not_installed_stops_the_job() -> None:
    message = error_message(served("no-such-server --port {port}"))
    for part in ("no-such-server", "install", "docs/engines.md", "key command"):
        assert part in message


def test_a_command_without_a_closing_quote_is_refused() -> None:
    with pytest.raises(UserError, match=r"key command: .*quotation"):
        served("serve 'it --port {port}")


@pytest.mark.parametrize(("replied", "attempts"), [(False, 12), (True, 12), (True, 2)])
def test_a_server_that_ends_stops_the_job(replied: bool, attempts: int) -> None:
    engine = load_engine(served(FAULTY, attempts=attempts))
    if replied:
        list(engine([Request("0", "Hello")], Decoding(5)))
    children = psutil.Process().children(recursive=True)
    [sleep] = [child for child in children if child.name() == "sleep"]
    [guard] = [child for child in children if server_guard.__file__ in child.cmdline()]
    [server] = [each for each in children if "faulty_server.py" in "".join(each.cmdline()[1:2])]
    guard.suspend()  # It learns later than the job that the server has ended.
    sleep.kill()  # The server's standard input ends, and so does the server.
    psutil.wait_procs([server], timeout=60)
    threading.Timer(GUARD_PAUSE_SECONDS, guard.resume).start()
    with pytest.raises(UserError) as caught:
        list(engine([Request("1", "question")], Decoding(5)))
    [log] = Path("logs/servers").iterdir()
    for part in ("server of m", "status", str(log)):
        assert part in str(caught.value)


def test_a_server_that_runs_and_does_not_listen_is_reported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("aligners.llms.engines.served.LONGEST_END_SECONDS", 0.1)
    deaf = f"{sys.executable} -c {shlex.quote(DEAF)} {{port}}"
    with pytest.raises(UserError, match=r"server of m runs, but does not reply \(All connection"):
        list(load_engine(served(deaf))([Request("1", "question")], Decoding(5)))


# Real servers


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
def test_transformers_serve_returns_the_same_texts_as_the_model_in_the_job(
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
    """Needs a GPU. vLLM is the server that most users will use.

    vLLM has a separate environment (docs/engines.md). ALIGNERS_VLLM names its program.
    """
    program = os.environ.get("ALIGNERS_VLLM") or shutil.which("vllm")
    if program is None or not torch.cuda.is_available():
        pytest.skip("needs a GPU, and vLLM on PATH or its program in ALIGNERS_VLLM")
    # vLLM's kernels need attention heads of 64 dimensions.
    model = make_model("gpt2", tmp_path / "model", n_embd=128, n_head=2)
    command = (
        f"{shlex.quote(program)} serve {{model}} --host 127.0.0.1 --port {{port}}"
        " --tensor-parallel-size {gpus} --enable-prefix-caching --gpu-memory-utilization 0.3"
    )
    recipe = served(command, str(model), startup_seconds=600)
    results = list(load_engine(recipe)(REQUESTS, Decoding(max_new_tokens=8)))
    assert {result.id for result in results} == {request.id for request in REQUESTS}
    assert all(isinstance(result, Completion) for result in results)
