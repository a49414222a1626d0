"""The `openai` engine with a faulty server on this machine."""

import asyncio
import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faulty_server import FAULTS, answer_to
from projects import SUPPORT
from recipes import make_recipe

from aligners.configuration.kinds.llms import LLMRecipe, OpenAIRecipe
from aligners.configuration.validation import validate
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.errors import UserError
from aligners.llms.engines import load_engine, pacing
from aligners.llms.engines.pacing import Pacer, retry_after
from aligners.llms.generator import Generator

KEY = "planted-key-7f3a9"
DECODING = Decoding(max_new_tokens=20, stop=("STOP",))

Serve = Callable[..., "Served"]


class Served:
    """A running faulty server."""

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
        """Return a complete recipe of an LLM on this server."""
        given = {"engine": "openai", "model": "m", "endpoint": self.endpoint}
        return make_recipe(OpenAIRecipe, **given, **keys)

    def replies(self) -> Counter[str]:
        """Return the number of replies of each kind so far."""
        return Counter(json.loads(line)[0] for line in self.journal.read_text().splitlines())

    def stop(self) -> None:
        """End the server."""
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait(300)

    def stop_and_count(self) -> dict[str, Any]:
        """End the server and return the counts that it prints."""
        self.stop()
        assert self.process.stdout
        return dict(json.loads(self.process.stdout.read()))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    servers: list[Served] = []

    def start(*options: str) -> Served:
        servers.append(Served(tmp_path / f"journal{len(servers)}", *options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


class FakeClock:
    """A clock for pacing.py: a sleep takes no time, and only moves the clock forward."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FakeClock:
    fake = FakeClock()
    monkeypatch.setattr(pacing, "time", SimpleNamespace(monotonic=fake.monotonic))
    monkeypatch.setattr(pacing, "asyncio", SimpleNamespace(sleep=fake.sleep))
    return fake


def requests(count: int, chat: bool = False) -> list[Request]:
    """Return requests with different prompts."""
    texts = [f"question {number}" for number in range(count)]
    return [
        Request(f"{number:016x}", [{"role": "user", "content": text}] if chat else text)
        for number, text in enumerate(texts)
    ]


def ask(recipe: OpenAIRecipe, asked: list[Request]) -> dict[str, Completion | Failure]:
    """Return the results by id. No request has two results."""
    results = list(load_engine(recipe)(iter(asked), DECODING))
    assert len({result.id for result in results}) == len(results)
    return {result.id: result for result in results}


def check_answers(results: dict[str, Completion | Failure], asked: list[Request]) -> None:
    """Check that every request has the completion of its own prompt."""
    assert set(results) == {request.id for request in asked}
    for request in asked:
        result = results[request.id]
        prompt = (
            request.prompt if isinstance(request.prompt, str) else request.prompt[-1]["content"]
        )
        assert isinstance(result, Completion), result
        assert result.text == answer_to(prompt)


@pytest.mark.parametrize("chat", [False, True])
def test_base_and_chat_llms_return_completions(serve: Serve, chat: bool) -> None:
    asked = requests(20, chat)
    results = ask(serve().recipe(chat=chat), asked)
    check_answers(results, asked)
    first = results[asked[0].id]
    assert isinstance(first, Completion)
    assert (first.finish, first.tokens_in, first.tokens_out, first.attempts) == ("stop", 2, 4, 1)
    assert first.seconds > 0


def test_a_server_without_log_probabilities_stops_the_job_early(serve: Serve) -> None:
    server = serve()
    engine = load_engine(server.recipe(chat=True, concurrency=1))
    with pytest.raises(UserError) as caught:
        list(engine(iter(requests(40, chat=True)), Decoding(max_new_tokens=1, top_logprobs=5)))
    for part in (server.endpoint, "log-probabilities", "logprobs: false"):
        assert part in str(caught.value)
    assert server.replies().total() < 10


@pytest.mark.parametrize("fault", FAULTS)
def test_a_request_is_sent_again_after_every_fault(serve: Serve, fault: str) -> None:
    server = serve("--fault-share", "0.4", "--faults", fault)
    asked = requests(30)
    never_ends = fault in ("hang", "slow_drip")
    recipe = server.recipe(timeout_seconds=1) if never_ends else server.recipe()
    check_answers(ask(recipe, asked), asked)
    replies = server.replies()
    assert replies[fault] > 0
    # The first of two equal replies is used. After any other fault, there is one more request.
    repeated = 0 if fault.startswith("duplicate") else replies[fault]
    if never_ends:  # On a busy machine, good replies may time out as well.
        assert replies.total() >= len(asked) + repeated
    else:
        assert replies.total() == len(asked) + repeated


def test_replies_go_to_their_own_requests_with_all_faults_at_once(serve: Serve) -> None:
    server = serve("--fault-share", "0.3", "--latency", "0.02")
    asked = requests(400)
    check_answers(ask(server.recipe(timeout_seconds=1, concurrency=16), asked), asked)


def test_requests_are_read_only_when_they_are_needed(serve: Serve) -> None:
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
    # Requests in progress, and requests whose results are not read yet.
    assert max(ahead) <= 40


def test_no_more_requests_are_in_progress_than_the_recipe_allows(serve: Serve) -> None:
    server = serve("--latency", "0.1")
    ask(server.recipe(concurrency=4), requests(20))
    assert 1 < server.stop_and_count()["most_in_progress"] <= 4


@pytest.mark.parametrize(
    ("limits", "interval"),
    # A request counts as 23 tokens: 2.75 (estimated by characters) and at most 20 new ones.
    [({"requests_per_minute": 600}, 0.1), ({"tokens_per_minute": 13_650}, 0.1)],
)
def test_limits_per_minute_space_the_requests(
    serve: Serve, clock: FakeClock, limits: dict[str, float], interval: float
) -> None:
    same_length = requests(30)[10:]
    ask(serve().recipe(**limits), same_length)
    assert clock.now == pytest.approx(19 * interval)


def test_a_server_that_asks_to_wait_pauses_all_requests_and_none_fails(
    serve: Serve, clock: FakeClock
) -> None:
    options = ("--fault-share", "0.5", "--faults", "429_retry_after", "--retry-after", "0.2")
    server = serve(*options)
    asked = requests(20)
    results = ask(server.recipe(concurrency=1, attempts=1), asked)
    check_answers(results, asked)
    assert all(isinstance(item, Completion) and item.attempts == 1 for item in results.values())
    rejected = server.replies()["429_retry_after"]
    assert clock.now == pytest.approx(0.2 * rejected)
    assert rejected > 0


def test_a_request_without_a_good_reply_fails_with_its_cause(serve: Serve) -> None:
    server = serve("--fault-share", "1", "--faults", "500", "empty_choices")
    results = ask(server.recipe(attempts=3), requests(10))
    causes = {item.cause for item in results.values() if isinstance(item, Failure)}
    assert len(results) == 10
    assert causes == {"server_error", "bad_reply"}
    assert server.replies().total() == 30


def test_a_request_whose_prompt_is_too_long_or_rejected_fails_alone(serve: Serve) -> None:
    server = serve()
    odd = [Request("long", "why " * 6000), Request("bad", "a forbidden question")]
    results = ask(server.recipe(), [*requests(5), *odd])
    assert [results[key].cause for key in ("long", "bad")] == ["prompt_too_long", "refused"]
    check_answers({k: v for k, v in results.items() if k not in ("long", "bad")}, requests(5))


# Errors that stop the job


def error_message(recipe: OpenAIRecipe) -> str:
    """Return the message of the error that stops the job."""
    with pytest.raises(UserError) as caught:
        ask(recipe, requests(8))
    return str(caught.value)


def test_a_server_that_is_down_stops_the_job() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
        recipe = {"engine": "openai", "model": "m", "endpoint": endpoint}
        message = error_message(make_recipe(OpenAIRecipe, **recipe))
    for part in (endpoint, "start the server", "key endpoint"):
        assert part in message


def test_a_model_that_is_not_served_stops_the_job(serve: Serve) -> None:
    server = serve("--model", "other")
    message = error_message(server.recipe())
    for part in (server.endpoint, "HTTP 404", "no model m", "key model", "/v1"):
        assert part in message


def test_the_message_about_a_rejected_key_names_its_variable_and_not_the_key(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    server = serve("--key", "the-right-one")
    message = error_message(server.recipe(key_variable="MY_KEY"))
    for part in (server.endpoint, "HTTP 401", "MY_KEY"):
        assert part in message
    assert KEY not in message
    assert "key_variable" in error_message(server.recipe())


def test_a_missing_key_stops_the_job(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    server = serve()
    message = error_message(server.recipe(key_variable="MY_KEY"))
    for part in (server.endpoint, "MY_KEY", "key_variable"):
        assert part in message


def test_no_file_and_no_log_line_has_the_key(
    serve: Serve, project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("MY_KEY", KEY)
    server = serve("--key", KEY, "--fault-share", "0.3", "--faults", "500", "429", "truncated_json")
    keys = ("engine", "model", "endpoint", "key_variable")
    complete = server.recipe(key_variable="MY_KEY")
    recipe = {key: getattr(complete, key) for key in keys}
    Path("config/llms/remote.yaml").write_text(json.dumps(recipe))
    generator = Generator("remote", Path("results/answers/0.jsonl"))
    generator.complete_all(requests(40), DECODING, "test")
    generator.write_usage()
    files = [file for file in project.rglob("*") if file.is_file()]
    assert generator.ledger.path.resolve() in files
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
    assert KEY not in caplog.text


def test_only_endpoints_have_prices() -> None:
    recipe = {
        "engine": "transformers",
        "model": "a/b",
        "revision": "main",
        "prices": {"input": 1, "output": 2},
    }
    with pytest.raises(UserError) as caught:
        validate(LLMRecipe, recipe, Path("config/llms/x.yaml"))
    for part in ("config/llms/x.yaml", "prices"):
        assert part in str(caught.value)


# Pacing


def test_retry_after_is_read_in_every_format() -> None:
    assert retry_after({"retry-after": "1.5"}) == 1.5
    assert retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}) == 0.0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None


def test_pauses_of_unknown_length_double_until_a_success(clock: FakeClock) -> None:
    pacer = Pacer(None, None)

    def next_pause() -> float:
        """Return the length of a pause that begins after the last one."""
        clock.now = pacer.resume_at
        pacer.pause(None)
        return pacer.resume_at - clock.now

    assert [next_pause() for _ in range(3)] == pytest.approx([0.1, 0.2, 0.4])
    resume_at = pacer.resume_at
    pacer.pause(None)  # This reply came during the pause.
    assert pacer.resume_at == resume_at
    pacer.reset_pause()
    assert next_pause() == pytest.approx(0.1)
