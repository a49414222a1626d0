"""The process with the models, with a trained squad: lines, cancelled requests, time limits."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from http_servers import json_handler, serve
from projects import ROOT
from tiny_squad import CORRECTION, KIND, QUESTION, RUDE, make_squad

from aligners.serving.models.process import REQUESTS_BETWEEN_RETURNS

Ask = Callable[..., dict[str, Any]]


class Process:
    """A running process, and its lines."""

    def __init__(self, *arguments: str, log: Path):
        self.log = log
        with log.open("w") as errors:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "aligners.serving.models.process", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={"PYTHONPATH": str(ROOT / "workflow/scripts"), "OMP_NUM_THREADS": "1"},
            )

    def send(self, *messages: dict[str, Any]) -> None:
        """Send lines at once."""
        assert self.popen.stdin is not None
        self.popen.stdin.write("".join(json.dumps(message) + "\n" for message in messages))
        self.popen.stdin.flush()

    def read(self, count: int) -> dict[int, dict[str, Any]]:
        """Return the next lines by their ids."""
        assert self.popen.stdout is not None
        lines = [json.loads(self.popen.stdout.readline()) for _ in range(count)]
        return {line.get("id", 0): line for line in lines}


Start = Callable[..., AbstractContextManager[Process]]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Start:
    """A function that runs the process with a squad."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        directory = make_squad(tmp_path_factory.mktemp("tiny"))

    @contextmanager
    def run(*arguments: str) -> Iterator[Process]:
        process = Process(str(directory), *arguments, log=directory.parent / "process.log")
        try:
            yield process
        finally:
            process.popen.kill()
            process.popen.wait()

    return run


def request(number: int, response: str, what: str = "correct") -> dict[str, Any]:
    return {"id": number, "do": what, "question": QUESTION, "response": response}


def test_each_request_gets_its_line(start: Start) -> None:
    count = REQUESTS_BETWEEN_RETURNS + 10  # Free memory is returned in between.
    with start("60") as process:
        ready = process.read(1)[0]["ready"]
        assert ready["criteria"] == ["ethical"] and 0 < ready["thresholds"]["ethical"] < 1
        process.send(*(request(n, RUDE if n % 2 else KIND) for n in range(1, count)))
        found = process.read(count - 1)
        texts = {number: line["correction"]["text"] for number, line in found.items()}
        assert texts == {n: CORRECTION if n % 2 else KIND for n in range(1, count)}
        process.send(request(1, RUDE, "inspect"), request(2, "half \ud800"))
        found = process.read(2)
        assert 0 <= found[1]["scores"]["ethical"] < 0.5
        assert "surrogate" in found[2]["error"]
        process.send({"ping": True})
        assert 0 <= process.read(1)[0]["busy"] < 60
        assert process.popen.stdin is not None
        process.popen.stdin.close()
        assert process.popen.wait(60) == 0


def test_cancelled_requests_disturb_no_other(start: Start) -> None:
    with start("60") as process:
        process.read(1)
        for number in range(1, 201):
            process.send(request(number, RUDE), {"cancel": number - 1}, {"cancel": 1000})
        found = process.read(200)
        assert set(found) == set(range(1, 201))
        kept = [line for line in found.values() if "cancelled" not in line]
        assert {line["correction"]["text"] for line in kept} == {CORRECTION}
        assert "correction" in found[200]


def test_servers_in_turn_are_one_message(start: Start, tmp_path: Path) -> None:
    (tmp_path / "inference.yaml").write_text(
        "engine: served\ncommand: none {port} {model}\nin_turn: true\n"
    )
    with start("60", str(tmp_path / "inference.yaml")) as process:
        assert "in_turn: false" in process.read(1)[0]["fatal"]


@pytest.mark.parametrize("fault", ["hangs", 500, 429])
def test_a_server_of_aligners_that_gives_nothing_fails_its_rows_in_time(
    start: Start, tmp_path: Path, fault: str | int
) -> None:
    ended = threading.Event()

    def hang(_: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if fault == "hangs":
            ended.wait(60)
        return fault if isinstance(fault, int) else 500, {}

    with serve(json_handler(hang)) as url:
        (tmp_path / "inference.yaml").write_text(f"engine: openai\nendpoint: {url}/v1\n")
        with start("1", str(tmp_path / "inference.yaml")) as process:
            process.read(1)
            process.send(*(request(number, RUDE) for number in range(1, 9)), request(9, KIND))
            found = process.read(9)
        ended.set()
    assert found[9]["correction"]["text"] == KIND
    for number in range(1, 9):
        assert "gave no correction" in found[number]["error"]
        assert found[number]["criterion"] == "ethical"
    log = process.log.read_text()
    assert "can take 0.8 s" in log
    assert re.search(r"requests that failed: 1; the first one: no completion within 0\.8 s", log)
