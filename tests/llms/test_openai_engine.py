"""The `openai` engine against a faulty server on this machine."""

import json
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from faulty_server import FAULTS, answer_to
from projects import SUPPORT
from recipes import make_recipe

from aligners.configuration.kinds.llms import LLMRecipe, OpenAIRecipe
from aligners.configuration.validation import validate
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.errors import UserError
from aligners.llms.engines import load_engine
from aligners.llms.engines.pacing import Pacer, retry_after
from aligners.llms.generator import Generator

KEY = "planted-key-7f3a9"
DECODING = Decoding(max_new_tokens=20, stop=("STOP",))

Serve = Callable[..., "Served"]


class Served:
    """A faulty server that runs, the recipe that asks it, and its journal."""

    def __init__(self, journal: Path, *options: str):
        server = SUPPORT / "faulty_server.py"
        self.journal = journal
        self.process = subprocess.Popen(
            [sys.executable, str(server), "--journal", str(journal), *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.endpoint = f"http://127.0.0.1:{int(self.process.stdout.readline())}/v1"

    def recipe(self, **keys: Any) -> OpenAIRecipe:
        """Return a complete recipe; faults are waited for no longer than needed."""
        given = {"engine": "openai", "model": "m", "endpoint": self.endpoint, "timeout_seconds": 2}
        return make_recipe(OpenAIRecipe, **{**given, **keys})

    def replies(self) -> list[tuple[str, str]]:
        """Return the kind and the prompt of each reply."""
        lines = self.journal.read_text().splitlines()
        return [(kind, prompt) for kind, prompt, _ in map(json.loads, lines)]

    def stop(self) -> None:
        """End the server."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers: list[Served] = []

    def start(*options: str) -> Served:
        servers.append(Served(tmp_path / f"journal{len(servers)}", *options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


def requests(count: int, chat: bool = False) -> list[Request]:
    """Return requests whose prompts differ."""
    texts = [f"question {number}" for number in range(count)]
    return [
        Request(f"{number:016x}", [{"role": "user", "content": text}] if chat else text)
        for number, text in enumerate(texts)
    ]


def ask(recipe: OpenAIRecipe, asked: list[Request]) -> dict[str, Completion | Failure]:
    """Return the results by id; none comes twice."""
    results = list(load_engine(recipe)(iter(asked), DECODING))
    assert len({result.id for result in results}) == len(results)
    return {result.id: result for result in results}


def check_answers(results: dict[str, Completion | Failure], asked: list[Request]) -> None:
    """Check that every request has the answer to its own prompt."""
    assert set(results) == {request.id for request in asked}
    for request in asked:
        result = results[request.id]
        prompt = (
            request.prompt if isinstance(request.prompt, str) else request.prompt[-1]["content"]
        )
        assert isinstance(result, Completion), result
        assert result.text == answer_to(prompt)


@pytest.mark.parametrize("chat", [False, True])
def test_completions_and_chat(serve: Serve, chat: bool) -> None:
    asked = requests(20, chat)
    results = ask(serve().recipe(chat=chat), asked)
    check_answers(results, asked)
    first = results[asked[0].id]
    assert isinstance(first, Completion)
    assert (first.finish, first.tokens_in, first.tokens_out, first.attempts) == ("stop", 2, 4, 1)
    assert first.seconds > 0


def test_a_server_without_log_probabilities_is_refused_early(serve: Serve) -> None:
    server = serve()
    engine = load_engine(server.recipe(chat=True, concurrency=1))
    with pytest.raises(UserError, match=r"hold no log-probabilities .* logprobs: false"):
        list(engine(iter(requests(40, chat=True)), Decoding(max_new_tokens=1, top_logprobs=5)))
    assert len(server.replies()) < 10


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_mended_by_asking_again(serve: Serve, fault: str) -> None:
    server = serve("--fault-share", "0.4", "--faults", fault)
    asked = requests(30)
    check_answers(ask(server.recipe(timeout_seconds=1), asked), asked)
    kinds = Counter(kind for kind, _ in server.replies())
    assert kinds[fault] > 0
    # A reply twice over is a good one; every other fault costs one more request.
    again = 0 if fault.startswith("duplicate") else kinds[fault]
    assert sum(kinds.values()) == len(asked) + again


def test_replies_go_to_their_own_requests_under_all_faults_at_once(serve: Serve) -> None:
    server = serve("--fault-share", "0.3", "--latency", "0.02")
    asked = requests(400)
    check_answers(ask(server.recipe(timeout_seconds=1, concurrency=16), asked), asked)


def test_requests_are_made_when_they_are_needed(serve: Serve) -> None:
    server = serve()
    made = 0

    def make() -> Iterator[Request]:
        nonlocal made
        for request in requests(200):
            made += 1
            yield request

    ahead = []
    for done, _ in enumerate(load_engine(server.recipe(concurrency=5))(make(), DECODING)):
        ahead.append(made - done)
    assert len(ahead) == 200
    # Those under way, and those whose results wait to be taken.
    assert max(ahead) <= 40


def test_no_more_requests_at_once_than_the_recipe_says(serve: Serve) -> None:
    server = serve("--latency", "0.1")
    started = time.monotonic()
    ask(server.recipe(concurrency=4), requests(20))
    assert time.monotonic() - started >= 0.1 * 20 / 4


@pytest.mark.parametrize(
    ("limits", "least"),
    [({"requests_per_minute": 600}, 1.9), ({"tokens_per_minute": 14_000}, 1.8)],
)
def test_limits_per_minute(serve: Serve, limits: dict[str, float], least: float) -> None:
    # A request counts 23 tokens: 3 of the prompt, by its characters, and 20 to come.
    started = time.monotonic()
    ask(serve().recipe(**limits), requests(20))
    assert time.monotonic() - started >= least


def test_a_server_that_asks_to_wait_slows_all_and_fails_none(serve: Serve) -> None:
    options = ("--fault-share", "0.5", "--faults", "429_retry_after", "--retry-after", "0.2")
    server = serve(*options)
    asked = requests(20)
    results = ask(server.recipe(concurrency=1, attempts=1), asked)
    check_answers(results, asked)
    refused = sum(kind != "good" for kind, _ in server.replies())
    assert all(isinstance(item, Completion) and item.attempts == 1 for item in results.values())
    assert sum(item.seconds for item in results.values()) >= 0.2 * refused > 0


def test_what_stays_faulty_fails_with_its_cause(serve: Serve) -> None:
    server = serve("--fault-share", "1", "--faults", "500", "empty_choices")
    results = ask(server.recipe(attempts=3), requests(10))
    causes = {item.cause for item in results.values() if isinstance(item, Failure)}
    assert len(results) == 10
    assert causes == {"server_error", "bad_reply"}
    assert len(server.replies()) == 30


def test_a_prompt_that_is_too_long_or_refused_fails_alone(serve: Serve) -> None:
    server = serve()
    odd = [Request("long", "why " * 6000), Request("bad", "a forbidden question")]
    results = ask(server.recipe(), [*requests(5), *odd])
    assert [results[key].cause for key in ("long", "bad")] == ["prompt_too_long", "refused"]
    check_answers({k: v for k, v in results.items() if k not in ("long", "bad")}, requests(5))


# What no repetition can mend


def refused(recipe: dict[str, Any]) -> str:
    """Return the message with which the engine gives up."""
    with pytest.raises(UserError) as caught:
        ask(recipe, requests(8))
    return str(caught.value)


def test_a_server_that_is_down() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
        recipe = {"engine": "openai", "model": "m", "endpoint": endpoint}
        message = refused(make_recipe(OpenAIRecipe, **recipe))
    assert message.startswith(f"{endpoint} cannot be reached")


def test_a_model_that_is_not_served(serve: Serve) -> None:
    server = serve("--model", "other")
    assert "has no model m: " in refused(server.recipe())
    assert "Mend the key model" in refused(server.recipe())


def test_a_key_that_is_refused_is_not_shown(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    server = serve("--key", "the-right-one")
    message = refused(server.recipe(key_variable="MY_KEY"))
    assert "refuses the key; set MY_KEY" in message
    assert KEY not in message
    assert "key_variable" in refused(server.recipe())


def test_a_key_that_is_missing(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    assert "set MY_KEY in the environment" in refused(serve().recipe(key_variable="MY_KEY"))


def test_the_key_is_found_nowhere(
    serve: Serve, project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("MY_KEY", KEY)
    server = serve("--key", KEY, "--fault-share", "0.3", "--faults", "500", "429", "truncated_json")
    keys = ("engine", "model", "endpoint", "timeout_seconds", "key_variable")
    complete = server.recipe(key_variable="MY_KEY")
    recipe = {key: complete[key] for key in keys}
    Path("config/llms/remote.yaml").write_text(json.dumps(recipe))
    generator = Generator("remote", Path("results/answers/0.jsonl"))
    generator.complete_all(requests(40), DECODING, "test")
    generator.write_usage()
    files = [file for file in project.rglob("*") if file.is_file()]
    assert generator.ledger.path.resolve() in files
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert KEY not in caplog.text


def test_prices_are_for_endpoints_alone() -> None:
    recipe = {
        "engine": "transformers",
        "model": "a/b",
        "revision": "main",
        "prices": {"input": 1, "output": 2},
    }
    with pytest.raises(UserError, match="prices"):
        validate(LLMRecipe, recipe, Path("config/llms/x.yaml"))


# Pacing


def test_retry_after_in_all_its_forms() -> None:
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


def test_pauses_without_a_length_double_until_a_success() -> None:
    pacer = Pacer(None, None)
    lengths = []
    for _ in range(3):
        pacer.resume_at = 0.0
        pacer.pause(None)
        lengths.append(pacer.resume_at - time.monotonic())
    assert [round(length, 1) for length in lengths] == [0.1, 0.2, 0.4]
    pacer.pause(None)  # Sent before the pause began: it changes nothing.
    assert round(pacer.resume_at - time.monotonic(), 1) == 0.4
    pacer.succeeded()
    pacer.resume_at = 0.0
    pacer.pause(None)
    assert round(pacer.resume_at - time.monotonic(), 1) == 0.1
