"""Squads whose aligners generate on a server: what is used, what fails, and its file."""

import asyncio
import shlex
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
from http_servers import json_handler, serve
from projects import ROOT
from tiny_squad import CORRECTION, KIND, QUESTION, RUDE, make_squad

from aligners import Squad
from aligners.cli.correct import correct_and_report
from aligners.configuration.kinds.inference import Inference
from aligners.core.errors import UserError
from aligners.core.rows import read_rows, write_rows
from aligners.squads.correction import Correction
from aligners.squads.models import load_inference
from aligners.squads.response_files import Table


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return make_squad(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def on_server(directory: Path, tmp_path: Path) -> Iterator[Callable[[int, dict[str, Any]], Squad]]:
    """A function that loads the squad with a server that gives one reply to each request."""
    running = []

    def load(status: int, reply: dict[str, Any]) -> Squad:
        running.append(serve(json_handler(lambda _: (status, reply))))
        path = tmp_path / "inference.yaml"
        url = running[-1].__enter__()
        path.write_text(f"{{engine: openai, endpoint: {url}/v1, attempts: 2}}\n")
        return Squad.load(directory, inference=load_inference(path))

    yield load
    for context in running:
        context.__exit__(None, None, None)


def test_corrections_of_a_server_pass_the_same_gate(on_server: Any) -> None:
    completion = {"index": 0, "text": f" {CORRECTION}", "finish_reason": "stop"}
    squad = on_server(200, {"choices": [completion]})
    assert squad.correct(QUESTION, RUDE).text == CORRECTION
    worse = on_server(200, {"choices": [{**completion, "text": " go away, it is 4."}]})
    correction = worse.correct(QUESTION, RUDE)
    assert (correction.text, correction.action) == (RUDE, "unchanged")


def test_many_rows_are_on_the_server_at_once(directory: Path) -> None:
    completion = {"index": 0, "text": f" {CORRECTION}", "finish_reason": "stop"}
    all_there = threading.Barrier(8)

    def reply(_: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        all_there.wait(60)  # No request gets its reply before the others are there.
        return 200, {"choices": [completion]}

    async def correct_all(squad: Squad) -> list[Correction]:
        return await asyncio.gather(*(squad.acorrect(QUESTION, RUDE) for _ in range(24)))

    with serve(json_handler(reply)) as url:
        inference = Inference(engine="openai", endpoint=f"{url}/v1", attempts=1, concurrency=8)
        with Squad.load(directory, inference=inference) as squad:
            found = asyncio.run(correct_all(squad))
    assert [each.text for each in found] == [CORRECTION] * 24


def test_rows_on_a_server_get_what_they_get_in_a_list(on_server: Any) -> None:
    completion = {"index": 0, "text": f" {CORRECTION}", "finish_reason": "stop"}
    squad = on_server(200, {"choices": [completion]})
    texts = [RUDE, KIND, RUDE * 12] * 40

    async def correct_all() -> list[Correction]:
        return await asyncio.gather(*(squad.acorrect(QUESTION, text) for text in texts))

    with squad:
        found = asyncio.run(correct_all())
    assert found[:3] == squad.correct_all([QUESTION] * 3, texts[:3])
    assert found == found[:3] * 40


def test_a_server_that_gives_no_correction_is_told(on_server: Any) -> None:
    # Another row gets its correction, so that not all requests are rejected.
    squad = on_server(200, {"choices": []})
    correction = squad.correct(QUESTION, RUDE)
    assert (correction.text, correction.action, correction.reason) == (RUDE, "failed", "failed")
    assert squad.correct(QUESTION, KIND).action == "unchanged"
    squad.close()


def test_the_command_tells_why_a_server_gave_no_correction(
    directory: Path, tmp_path: Path, on_server: Any
) -> None:
    on_server(200, {"choices": []}).close()
    write_rows(tmp_path / "answers.jsonl", [{"question": QUESTION, "response": RUDE}])
    command = [Path(sys.executable).with_name("aligners"), "correct", "answers.jsonl"]
    options = ["--squad", directory, "--inference", "inference.yaml", "-o", "out.jsonl"]
    # A process of its own, since tests change where warnings go.
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 failed" in done.stderr
    assert "requests that failed: 1; the first one: " in done.stderr


def test_a_squad_that_starts_a_server_corrects_alike(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    program = shlex.quote(str(Path(sys.executable).with_name("transformers")))
    command = f"env HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 {program} serve {{model}} --device cpu"
    keys = {
        "engine": "served",
        "command": f"{command} --host 127.0.0.1 --port {{port}}",
        "prompts": "text",
        "startup_seconds": 600.0,
    }
    Path("inference.yaml").write_text(yaml.safe_dump(keys))
    write_rows(Path("answers.jsonl"), [{"question": QUESTION, "response": RUDE}])
    correct_and_report(
        Table(Path("answers.jsonl")), str(directory), Path("out.jsonl"), Path("inference.yaml")
    )
    [row] = read_rows(Path("out.jsonl"))
    expected = Squad.load(directory).correct(QUESTION, RUDE)
    assert expected.action == row["action"] == "corrected"
    assert (row["aligned_response"], row["trace"]) == (expected.text, expected.trace)
    assert list(Path("logs/servers").glob("ethical-*"))
    # The end of the `with` statement stops the server.
    others = set(psutil.Process().children())
    with Squad.load(directory, inference=load_inference(Path("inference.yaml"))) as squad:
        assert squad.correct(QUESTION, RUDE).text == expected.text
        assert set(psutil.Process().children()) > others
    assert set(psutil.Process().children()) <= others


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("engine: vllm\n", "'vllm'"),
        ("engine: served\n", "needs the key command"),
        ("command: x {port}\n", "no effect"),
        ("motor: x\n", "motor"),
    ],
)
def test_a_file_of_inference_with_a_mistake_is_one_message(
    tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "inference.yaml").write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        load_inference(tmp_path / "inference.yaml")
    assert "inference.yaml" in str(caught.value)
    assert load_inference(None) == Inference()
