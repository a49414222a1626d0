"""`aligners chat`: a conversation with a scripted LLM and a scripted squad."""

import io
import json
from collections.abc import Iterator
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from http_servers import serve

from aligners.cli.chat import Upstream, chat, load_and_chat
from aligners.core.errors import UserError
from aligners.squads.correction import Correction
from aligners.squads.squad import Squad

ASKED: list[dict[str, Any]] = []


class LLM(BaseHTTPRequestHandler):
    """Responds to each question with its last word; fails for "fail" and "nonsense"."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        ASKED.append({**body, "key": self.headers["Authorization"]})
        word = body["messages"][-1]["content"].split()[-1]
        content = json.dumps({"choices": [{"message": {"content": f"It is {word}."}}]})
        if word == "nonsense":
            content = "{}"
        self.send_response(500 if word == "fail" else 200)
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *arguments: object) -> None:
        """Write no log."""


class FakeSquad:
    """Corrects what has the word "bad"."""

    def correct(self, question: str, response: str) -> Correction:
        if "bad" not in response:
            return Correction(response, "unchanged", "above_threshold", {"kind": 0.9}, [])
        turn = {
            "criterion": "kind", "before": {"kind": 0.1}, "margins_before": {"kind": -2.0},
            "aligned_response": "It is good.", "after": {"kind": 0.9},
            "margins_after": {"kind": 2.0}, "accepted": True, "reason": "accepted",
            "lowered": None,
        }  # fmt: skip
        return Correction("It is good.", "corrected", "accepted", {"kind": 0.1}, [turn])


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    ASKED.clear()
    monkeypatch.setenv("KEY_OF_TEST", "sk-test")
    with serve(LLM) as url:
        yield f"{url}/v1"


def talk(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    upstream: str | None,
    *lines: str,
) -> str:
    """Return what is printed while a person types the lines."""
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))
    squad: Any = FakeSquad()
    chat(squad, Upstream(upstream, "m", "KEY_OF_TEST") if upstream else None)
    return capsys.readouterr().out


def test_a_conversation_shows_before_after_and_why(
    llm: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = talk(monkeypatch, capsys, llm, "Is it bad", "And fine", "/new", "Is it new")
    assert "It is [-bad.-]" in printed and "It is {+good.+}" in printed
    assert "kind  0.100 → 0.900  margin -2.0 → +2.0  accepted" in printed
    assert "no aligner acted: no score was below its threshold" in printed
    # The LLM sees the corrected conversation, until a new one begins.
    contents = [[each["content"] for each in asked["messages"]] for asked in ASKED]
    assert contents == [
        ["Is it bad"],
        ["Is it bad", "It is good.", "And fine"],
        ["Is it new"],
    ]
    assert {asked["key"] for asked in ASKED} == {"Bearer sk-test"}
    assert "sk-test" not in printed


def test_an_error_of_the_llm_is_told_and_the_conversation_continues(
    llm: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = talk(monkeypatch, capsys, llm, "Will it fail", "Is it nonsense", "Is it fine")
    assert "the server responded with 500" in printed and "reply has no text" in printed
    assert "It is fine." in printed
    assert ASKED[-1]["messages"] == [{"role": "user", "content": "Is it fine"}]
    assert "cannot be reached" in talk(monkeypatch, capsys, "http://127.0.0.1:9/v1", "Hello")


def test_a_key_that_cannot_be_sent_is_one_message_without_the_key(
    llm: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEY_OF_TEST", "sk-geheimnisträger")
    printed = talk(monkeypatch, capsys, llm, "Hello")
    assert "KEY_OF_TEST" in printed and "geheim" not in printed and not ASKED


def test_an_empty_key_variable_is_none(
    llm: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KEY_OF_TEST", " ")
    talk(monkeypatch, capsys, llm, "Is it bad")
    assert [asked["key"] for asked in ASKED] == [None]


def test_without_an_llm_both_texts_are_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = talk(monkeypatch, capsys, None, "Is it?", "It is bad.", "Again?")
    assert "It is {+good.+}" in printed
    # The input ended in place of the second response.
    assert printed.count("response> ") == 2 and "error" not in printed


@pytest.mark.parametrize("stage", ["load", "respond", "correct"])
def test_an_interrupted_conversation_ends_quietly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    squad = FakeSquad()
    monkeypatch.setattr(Squad, "load", lambda *_, **__: nullcontext(squad))
    monkeypatch.setattr(Upstream, "respond", lambda *_: "It is bad.")
    owner = {"load": Squad, "respond": Upstream, "correct": squad}[stage]
    monkeypatch.setattr(owner, stage, interrupt)
    monkeypatch.setattr("sys.stdin", io.StringIO("Is it?\n"))
    with pytest.raises(SystemExit) as ended:
        load_and_chat(str(tmp_path), None, Upstream("http://127.0.0.1:9/v1", "m", "KEY_OF_TEST"))
    assert ended.value.code == 130
    assert capsys.readouterr().err == "\n"


@pytest.mark.parametrize(
    ("variable", "value"), [("HTTP_PROXY", "http://proxy:port"), ("SSL_CERT_FILE", "/no/such/file")]
)
def test_a_proxy_or_certificates_that_cannot_be_used_are_one_message(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=f"--upstream http://127.0.0.1:9/v1: .*{variable}"):
        Upstream("http://127.0.0.1:9/v1", "m", "KEY_OF_TEST")
