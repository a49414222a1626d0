"""The command as a process of its own: start, stop, and a squad with real models."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn
from projects import ROOT
from running_apps import wait_for
from scripted_squad import COMMAND
from scripted_upstream import serve_upstream
from served_squads import CHAT, chat_body
from tiny_squad import CORRECTION, QUESTION, RUDE, UNFAMILIAR, make_squad

from aligners.cli.serve import start_server
from aligners.core.errors import UserError
from aligners.serving.app import build_app
from aligners.serving.options import ServeOptions
from aligners.serving.server import serve

# Serves with a scripted squad; prints the process id of the models when they are ready.
SCRIPTED = """
import json, logging, sys
from aligners.core.program import one_message
from aligners.serving.options import ServeOptions
from aligners.serving.server import serve
logging.basicConfig(level=logging.INFO, stream=sys.stderr)
command, options = json.loads(sys.argv[1]), json.loads(sys.argv[2])
with one_message():
    serve(ServeOptions("scripted", **options), command)
"""

ALIGNERS = ("-c", "from aligners.cli.main import main; main()")


@contextmanager
def run_server(
    arguments: Sequence[str], log: Path
) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run a server until the end of the block; yield its process and its URL."""
    environment = {
        **os.environ,
        "PYTHONPATH": f"{ROOT / 'workflow/scripts'}:{ROOT / 'tests/support'}",
    }
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, *arguments], stderr=file, env=environment, cwd=log.parent
        )
    try:
        wait_for(lambda: process.poll() is not None or "listening on" in log.read_text())
        url = log.read_text().partition("listening on ")[2].split("\n")[0]
        yield process, url
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        process.wait(30)


def scripted(command: tuple[str, ...] = COMMAND, **options: Any) -> list[str]:
    return ["-c", SCRIPTED, json.dumps(command), json.dumps({"port": 0, **options})]


def is_ready(url: str) -> bool:
    with suppress(httpx2.TransportError):
        return httpx2.get(f"{url}/ready").status_code == 200
    return False


def children(process: int) -> list[int]:
    """Return the children of a process, of all its threads."""
    return [
        int(child)
        for path in Path(f"/proc/{process}/task").glob("*/children")
        for child in path.read_text().split()
    ]


def is_running(process: int) -> bool:
    with suppress(FileNotFoundError, ProcessLookupError):
        return "State:\tZ" not in Path(f"/proc/{process}/status").read_text()
    return False


def test_running_requests_finish_after_sigterm(tmp_path: Path) -> None:
    with (
        serve_upstream(delay=1.0) as (upstream, record),
        run_server(scripted(upstream=upstream), tmp_path / "log") as (process, url),
    ):
        wait_for(lambda: is_ready(url))
        models = children(process.pid)
        assert models
        with subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import httpx2; print(httpx2.post({url + CHAT!r}, "
                f"json={chat_body('say: bad')!r}, timeout=30).text)",
            ],
            stdout=subprocess.PIPE,
        ) as client:
            begun = record.begun
            wait_for(lambda: record.begun > begun)
            process.send_signal(signal.SIGTERM)
            answer, _ = client.communicate(timeout=60)
        assert json.loads(answer)["choices"][0]["message"]["content"] == "good"
        assert process.wait(30) in (0, -signal.SIGTERM)
        wait_for(lambda: not any(map(is_running, models)))


def test_requests_that_do_not_finish_are_not_waited_for_for_ever(tmp_path: Path) -> None:
    with (
        serve_upstream(delay=600.0) as (upstream, record),
        run_server(scripted(upstream=upstream, shutdown_seconds=1), tmp_path / "log") as (
            process,
            url,
        ),
    ):
        wait_for(lambda: is_ready(url))
        killer = subprocess.Popen(["sh", "-c", f"sleep 1; kill {process.pid}"])
        answer = httpx2.post(f"{url}{CHAT}", json=chat_body("say: x"), timeout=60)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "shutting_down")
        killer.wait(30)
        process.wait(30)
        assert record.begun == 1


def test_the_models_end_with_a_server_that_is_killed(tmp_path: Path) -> None:
    with run_server(scripted(), tmp_path / "log") as (process, url):
        wait_for(lambda: is_ready(url))
        models = children(process.pid)
        process.kill()
        wait_for(lambda: not any(map(is_running, models)))


def test_a_squad_that_cannot_be_loaded_ends_the_server_with_one_message(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with run_server(scripted((*COMMAND, "0", "squad.json: damaged")), log) as (process, _):
        assert process.wait(60) == 1
        assert "error: squad.json: damaged" in log.read_text()
        assert "Traceback" not in log.read_text()


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with run_server(scripted(), tmp_path / "first") as (_, url):
        port = int(url.rpartition(":")[2])
        log = tmp_path / "second"
        with run_server(scripted(port=port), log) as (process, _):
            assert process.wait(60) == 1
            assert f"--port {port}" in log.read_text()


def test_a_squad_with_real_models_is_served(tmp_path: Path, in_the_project: None) -> None:
    squad = make_squad(tmp_path / "made")
    log = tmp_path / "log"
    with run_server([*ALIGNERS, "serve", "--squad", str(squad), "--port", "0"], log) as (
        process,
        url,
    ):
        wait_for(lambda: is_ready(url) or process.poll() is not None, 300)
        assert process.poll() is None, log.read_text()
        described = httpx2.get(f"{url}/v1/squad").json()
        assert described["criteria"] == ["ethical"]
        assert 0 < described["thresholds"]["ethical"] < 1
        body = {"question": QUESTION, "response": RUDE}
        found = httpx2.post(f"{url}/v1/align", json=body, timeout=120).json()
        assert found["aligned_response"] == CORRECTION
        assert (found["action"], found["acted"]) == ("corrected", ["ethical"])
        scores = httpx2.post(f"{url}/v1/inspect", json=body, timeout=120).json()["scores"]
        assert scores == found["scores"]
        body = {"question": UNFAMILIAR, "response": RUDE}
        found = httpx2.post(f"{url}/v1/align", json=body, timeout=120).json()
        assert found["reason"] == "unfamiliar_question"
        process.send_signal(signal.SIGINT)
        process.wait(60)
        assert "Traceback" not in log.read_text()


def test_a_directory_that_is_no_squad_is_named(tmp_path: Path) -> None:
    log = tmp_path / "log"
    arguments = [*ALIGNERS, "serve", "--squad", str(tmp_path), "--port", "0"]
    with run_server(arguments, log) as (process, _):
        assert process.wait(120) == 1
        assert str(tmp_path) in log.read_text()
        assert "squad.json" in log.read_text()
        assert "Traceback" not in log.read_text()


def test_a_name_that_is_no_squad_ends_the_command_before_it_listens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    log = tmp_path / "log"
    arguments = [*ALIGNERS, "serve", "--squad", "someone/no-squad", "--port", "0"]
    with run_server(arguments, log) as (process, _):
        assert process.wait(120) == 1
        [message] = log.read_text().splitlines()
        assert message.startswith("error: someone/no-squad: no such directory")


def test_an_interrupted_download_ends_the_command_quietly(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("aligners.squads.directory.snapshot_download", interrupt)
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    with pytest.raises(SystemExit) as ended:
        start_server(ServeOptions("someone/squad"))
    assert (ended.value.code, capsys.readouterr().err) == (130, "\n")


def test_the_models_are_loaded_from_the_directory_that_a_name_had_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(name: str, revision: str | None, **_: object) -> str:
        asked.append((name, revision))
        return str(tmp_path)

    monkeypatch.setattr("aligners.squads.directory.snapshot_download", download)
    app = build_app(ServeOptions(squad="someone/squad@v1"))
    assert asked == [("someone/squad", "v1")]
    assert app.state.service.squad.command[-2:] == [str(tmp_path), "60.0"]


def test_a_fraction_of_a_second_to_shut_down_is_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def config(*_: object, timeout_graceful_shutdown: int, **__: object) -> None:
        given.append(timeout_graceful_shutdown)
        raise InterruptedError

    monkeypatch.setattr(uvicorn, "Config", config)
    with pytest.raises(InterruptedError):
        serve(ServeOptions("scripted", shutdown_seconds=0.5), COMMAND)
    assert given == [1]


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_PROXY", "http://proxy:port"),
        ("HTTPS_PROXY", "socks9://127.0.0.1"),
        ("ALL_PROXY", "socks5://127.0.0.1:1"),
        ("SSL_CERT_FILE", "/no/such/file"),
    ],
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_one_message(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    monkeypatch.setattr("aligners.squads.directory.snapshot_download", lambda *_, **__: "squad")
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError) as told:
        start_server(ServeOptions("someone/squad", upstream="http://127.0.0.1:1/v1"))
    assert "--upstream http://127.0.0.1:1/v1: " in str(told.value)
    assert variable in str(told.value)
