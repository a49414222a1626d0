"""LangChain's ChatOpenAI and LiteLLM's client against the server."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import KEY
from served_squads import Served

CLIENT = Path(__file__).with_name("sdk_client.py")


def ask(programs: Path, name: str, served: Served) -> dict[str, Any]:
    """Return what an SDK makes of the server's answers."""
    command = [programs / "python", CLIENT, name, served.url, KEY]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def langchain(programs: Path, served: Served) -> dict[str, Any]:
    """What LangChain makes of the answers."""
    return ask(programs, "langchain", served)


def test_langchain_gets_corrections(langchain: dict[str, Any]) -> None:
    assert langchain["text"] == langchain["awaited"] == "a good answer"
    assert langchain["batch"] == [f"good {number}" for number in range(8)]
    assert langchain["several"] == ["a good answer", "a good answer number 1"]


def test_langchain_gets_headers_and_usage(langchain: dict[str, Any]) -> None:
    headers = langchain["headers"]
    assert headers["x-aligners-action"] == "corrected"
    assert headers["x-aligners-acted"] == "ethical"
    assert langchain["usage"]["total_tokens"] == 12


def test_langchain_streams_corrections(langchain: dict[str, Any]) -> None:
    assert langchain["streamed"] == "a good answer"
    assert langchain["finish"] == "stop" and langchain["parts"] > 1
    assert langchain["streamed_usage"]["total_tokens"] == 12


def test_langchain_gets_tool_calls_and_json_as_they_are(langchain: dict[str, Any]) -> None:
    [call] = langchain["tool"]
    assert call["name"] == "weather" and call["args"] == {"city": "bad"}
    assert langchain["forced"] == '{"bad": 1}'


def test_litellms_client_gets_corrections(programs: Path, served: Served) -> None:
    found = ask(programs, "litellm", served)
    assert found["text"] == found["streamed"] == found["awaited"] == "a good answer"
    assert found["finish"] == "stop" and found["usage"] == 12
    assert "the key is wrong" in found["refused"]
