"""LiteLLM's proxy with deploy/litellm-config.yaml: the squad is its guardrail."""

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from conftest import KEY
from openai import APIStatusError, OpenAI
from projects import ROOT
from scripted_upstream import serve_upstream
from served_squads import Served

STARTUP_SECONDS = 300
MASTER_KEY = f"sk-{secrets.token_hex(32)}"


def free_port() -> int:
    """Return a port that nothing uses."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def run_proxy(programs: Path, squad: str, log: Path) -> Iterator[OpenAI]:
    """Run LiteLLM's proxy until the end of the block; yield a client of it.

    Args:
        programs: of the environment of SDKs.
        squad: URL of the server of the squad.
        log: file for the output of the proxy.
    """
    port = free_port()
    command = [programs / "litellm", "--config", ROOT / "deploy/litellm-config.yaml"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with serve_upstream() as (upstream, _), log.open("w") as output:
        variables = {
            "ALIGNERS_API_BASE": squad,
            "ALIGNERS_KEY": KEY,
            "LLM_API_BASE": upstream,
            "LLM_API_KEY": "sk-none",
            "LITELLM_MASTER_KEY": MASTER_KEY,
            # Nothing is looked up on the network.
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        process = subprocess.Popen(
            command, env={**os.environ, **variables}, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            wait_until_alive(process, f"http://127.0.0.1:{port}/health/liveliness", log)
            url = f"http://127.0.0.1:{port}/v1"
            yield OpenAI(base_url=url, api_key=MASTER_KEY, max_retries=0, timeout=120)
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_alive(process: "subprocess.Popen[bytes]", url: str, log: Path) -> None:
    """Wait until a server answers."""
    end = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            if httpx2.get(url, timeout=10).status_code == 200:
                return
        except httpx2.HTTPError:
            pass
        time.sleep(0.5)
    pytest.fail(f"LiteLLM's proxy does not answer: {log.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def proxy(
    programs: Path, served: Served, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OpenAI]:
    """A client of a proxy with the squad as its guardrail."""
    log = tmp_path_factory.mktemp("proxy") / "log"
    with run_proxy(programs, served.url, log) as client:
        yield client


def ask(proxy: OpenAI, question: str, **options: Any) -> Any:
    """Return the answer to a question."""
    messages: list[Any] = [{"role": "user", "content": question}]
    return proxy.chat.completions.create(model="chat", messages=messages, **options)


def text(proxy: OpenAI, question: str, **options: Any) -> str | None:
    """Return the text of the answer to a question."""
    return ask(proxy, question, **options).choices[0].message.content


def test_the_correction_comes_back(proxy: OpenAI) -> None:
    found = ask(proxy, "say: a bad answer")
    assert found.choices[0].message.content == "a good answer"
    assert found.choices[0].finish_reason == "stop" and found.usage.total_tokens == 12


def test_a_response_without_a_fault_stays(proxy: OpenAI) -> None:
    assert text(proxy, "say: all is well") == "all is well"


def test_the_squad_knows_the_question_of_the_call_before(proxy: OpenAI, served: Served) -> None:
    """The squad corrects no response to this question, and LiteLLM sends it before the call."""
    line = 'aligners_responses_total{action="skipped",reason="unfamiliar_question"}'
    before = served.metric(line)
    assert text(proxy, "unfamiliar and bad") == "unfamiliar and bad"
    assert served.metric(line) == before + 1


def test_calls_at_the_same_time_are_not_mixed_up(proxy: OpenAI) -> None:
    with ThreadPoolExecutor(8) as pool:
        questions = [f"say: bad answer {number}" for number in range(40)]
        found = list(pool.map(lambda question: text(proxy, question), questions))
    assert found == [f"good answer {number}" for number in range(40)]


def test_several_choices_are_corrected(proxy: OpenAI) -> None:
    found = ask(proxy, "say: a bad answer", n=2)
    texts = [choice.message.content for choice in found.choices]
    assert texts == ["a good answer", "a good answer number 1"]


def test_a_stream_has_the_corrected_text_alone(proxy: OpenAI) -> None:
    question = "say: " + "a bad word among many others, " * 8
    chunks = list(ask(proxy, question, stream=True))
    parts = [choice.delta.content for chunk in chunks for choice in chunk.choices]
    streamed = "".join(part for part in parts if part)
    assert "bad" not in streamed
    assert streamed.strip() == question.removeprefix("say: ").replace("bad", "good").strip()
    finished = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert finished[-1] == "stop"


def test_tool_calls_stay(proxy: OpenAI) -> None:
    function = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
    tools = [{"type": "function", "function": function}]
    [call] = ask(proxy, "say: the weather", tools=tools).choices[0].message.tool_calls
    assert call.function.arguments == '{"city": "bad"}'


def test_without_the_squad_no_response_comes_back(programs: Path, tmp_path: Path) -> None:
    """`fail_closed`: nothing listens at the address of the squad."""
    dead = f"http://127.0.0.1:{free_port()}"
    with run_proxy(programs, dead, tmp_path / "log") as proxy, pytest.raises(APIStatusError) as got:
        ask(proxy, "say: a bad answer")
    assert got.value.status_code >= 400 and "a bad answer" not in str(got.value)
