"""The `openai` engine with a faulty server on this machine."""

import asyncio
import json
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from faulty_server import (
    BAD_BODIES,
    BROKEN_REPLIES,
    ERRORS_OF_ALL,
    FAULTS,
    HALF_PAIRS,
    ODD_ERRORS,
    REFUSALS,
    UNUSUAL_REPLIES,
    UNUSUAL_TEXT,
    answer_to,
)
from projects import SUPPORT
from recipes import make_recipe

from aligners.configuration import recipes
from aligners.configuration.kinds.llms import LLMRecipe, OpenAIRecipe
from aligners.configuration.validation import validate
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.errors import UserError
from aligners.llms.engines import load_engine, pacing
from aligners.llms.engines.errors import NO_KEY, AttemptError, ErrorMapper
from aligners.llms.engines.openai import Endpoint
from aligners.llms.engines.pacing import Pacer, retry_after
from aligners.llms.engines.replies import read_reply
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

    def requests(self) -> list[dict[str, Any]]:
        """Return the requests with a reply so far, without their prompts."""
        lines = map(json.loads, self.journal.read_text().splitlines())
        prompts = ("prompt", "messages")
        return [{name: line[3][name] for name in line[3] if name not in prompts} for line in lines]

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
        assert self.now < 1e5, "the wait has no end"
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


def check_answers_to(results: list[Completion | Failure], asked: list[Request]) -> None:
    """Check that every request has a completion, which begins with the answer to its prompt."""
    by_id = {result.id: result for result in results}
    assert by_id.keys() == {request.id for request in asked}
    for request in asked:
        result = by_id[request.id]
        assert isinstance(result, Completion), result
        assert result.text.startswith(answer_to(str(request.prompt)))


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


SAMPLED = Decoding(20, 0.7, seed=1, stop=("STOP",), top_p=0.9, top_k=40)


def test_each_request_has_the_parameters_of_its_decoding_and_its_recipe(serve: Serve) -> None:
    server = serve()
    options = {"enable_thinking": False}
    extra = {"min_p": 0.1, "top_p": 1.0, "top_k": 0}
    recipe = server.recipe(chat=True, template_options=options, extra=extra)
    [completion] = load_engine(recipe)(requests(1, chat=True), SAMPLED)
    sent = server.requests()[-1]
    assert isinstance(completion, Completion)
    assert sent == {
        "model": "m",
        "max_tokens": 20,
        "temperature": 0.7,
        "seed": sent["seed"],
        "stop": ["STOP"],
        "top_p": 0.9,
        "top_k": 40,
        "min_p": 0.1,
        "chat_template_kwargs": options,
    }
    list(load_engine(recipe)(requests(1, chat=True), Decoding(20, 0.7)))
    sent = server.requests()[-1]
    assert (sent["top_p"], sent["top_k"]) == (1.0, 0)


def test_parameters_that_a_server_rejects_are_left_out_and_the_ledger_says_so(
    serve: Serve, project: Path
) -> None:
    server = serve()
    left = ["temperature", "top_p", "top_k", "stop", "seed"]
    path = project / "config/llms/reasoner.yaml"
    path.write_text(
        f"engine: openai\nmodel: m\nendpoint: {server.endpoint}\nchat: true\nleave_out: {left}\n"
        "template_options: {effort: low}\nthought_tokens: 5\n"
    )
    prompt = "POTS" + "x"  # The server replies with the prompt reversed.
    generator = Generator("reasoner", Path("results/texts.jsonl"))
    results = generator.complete_all([Request("1", prompt)], SAMPLED, "texts")
    assert set(server.requests()[-1]) == {"model", "max_tokens", "chat_template_kwargs"}
    assert server.requests()[-1]["max_tokens"] == 25
    # The stop string still ends the text.
    assert results["1"].text == answer_to(prompt).split("STOP")[0]  # type: ignore[union-attr]
    [line] = generator.ledger.path.read_text().splitlines()[1:]
    entry = json.loads(line)
    assert set(entry["decoding"]) == {"max_new_tokens", "repetition_penalty"}
    assert entry["template_options"] == {"effort": "low"}


@pytest.mark.parametrize(
    ("decoding", "ignored", "remedy"),
    [
        (Decoding(20, repetition_penalty=1.1), "repetition_penalty", "penalty_parameter"),
        (SAMPLED, "top_k", "remove top_k"),
    ],
)
def test_a_server_that_ignores_a_parameter_stops_the_job_before_its_requests(
    serve: Serve, decoding: Decoding, ignored: str, remedy: str
) -> None:
    asked = requests(5)
    good = serve()
    check_answers_to(list(load_engine(good.recipe())(iter(asked), decoding)), asked)
    server = serve("--ignores", ignored)
    with pytest.raises(UserError) as caught:
        list(load_engine(server.recipe())(iter(asked), decoding))
    for part in (server.endpoint, ignored, remedy):
        assert part in str(caught.value)
    assert not any("question" in json.loads(line)[1] for line in server.journal.open())


def test_a_server_that_ignores_a_parameter_gets_no_later_request_either(serve: Serve) -> None:
    server = serve("--ignores", "top_k")
    engine = load_engine(server.recipe())

    def message(number: int) -> str:
        with pytest.raises(UserError) as caught:
            list(engine(iter(requests(1)), SAMPLED))
        return str(caught.value)

    with ThreadPoolExecutor(4) as threads:  # as aligners on servers are asked
        messages = set(threads.map(message, range(8)))
    assert len(messages) == 1 and "top_k" in messages.pop()
    assert not any("question" in json.loads(line)[1] for line in server.journal.open())


def test_a_server_that_is_down_at_the_check_is_checked_again(serve: Serve) -> None:
    server = serve("--ignores", "top_k")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        engine = Endpoint(server.recipe(attempts=1), endpoint, NO_KEY)
        for _ in range(2):
            with pytest.raises(UserError, match="reached"):
                list(engine.complete(requests(1), SAMPLED))
        assert not engine.checks


def test_the_parameter_of_the_penalty_can_have_another_name(serve: Serve) -> None:
    server = serve("--ignores", "repeat_penalty")
    engine = load_engine(server.recipe(penalty_parameter="repeat_penalty"))
    with pytest.raises(UserError, match="repeat_penalty"):
        list(engine(iter(requests(1)), Decoding(20, repetition_penalty=1.1)))


def test_a_parameter_is_checked_once_for_each_decoding(serve: Serve) -> None:
    server = serve()
    engine = load_engine(server.recipe())
    decoding = Decoding(20, repetition_penalty=1.1)
    list(engine(iter(requests(3)), decoding))
    with_checks = server.replies().total()
    list(engine(iter(requests(3)), decoding))
    assert server.replies().total() == with_checks + 3


THINKING = [
    ({"content": "Yes.", "reasoning_content": "Hm."}, "stop", ("Yes.", "Hm.")),
    ({"content": "Yes.", "reasoning": "Hm."}, "stop", ("Yes.", "Hm.")),
    ({"content": None, "reasoning_content": "Hm, let"}, "length", ("", "Hm, let")),
    ({"content": "Yes.", "reasoning": None}, "stop", ("Yes.", None)),
]


@pytest.mark.parametrize(("message", "finish", "expected"), THINKING)
def test_thoughts_that_a_server_returns_apart_are_kept_apart(
    message: dict[str, Any], finish: str, expected: tuple[str, str | None]
) -> None:
    body = json.dumps({"choices": [{"message": message, "finish_reason": finish}]}).encode()
    reply = read_reply(body, True, DECODING, Request("1", "?"))
    assert (reply["text"], reply["thoughts"], reply["finish"]) == (*expected, finish)


def test_structured_output_is_requested_by_a_json_schema(serve: Serve) -> None:
    asked = requests(3, chat=True)
    engine = load_engine(serve().recipe(chat=True, structured_output=True))
    fields = ("response", "critique", "correction")
    for result in engine(iter(asked), Decoding(max_new_tokens=20, json_fields=fields)):
        assert isinstance(result, Completion)
        [prompt] = [one.prompt[-1] for one in asked if one.id == result.id]
        assert isinstance(prompt, dict)
        text = answer_to(prompt["content"])
        assert list(json.loads(result.text).items()) == [(name, text) for name in fields]
    [plain] = engine(iter(asked[:1]), Decoding(max_new_tokens=20))
    assert isinstance(plain, Completion)
    assert not plain.text.startswith("{")


def test_structured_output_of_a_base_llm_is_an_error(serve: Serve) -> None:
    with pytest.raises(UserError, match=r"structured_output.*chat: true"):
        serve().recipe(structured_output=True)


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
    repeated = 0 if "duplicate" in fault else replies[fault]
    if never_ends:  # On a busy machine, good replies may time out as well.
        assert replies.total() >= len(asked) + repeated
    else:
        assert replies.total() == len(asked) + repeated


def test_a_second_copy_of_a_reply_is_never_the_reply_to_the_next_request(serve: Serve) -> None:
    server = serve("--fault-share", "1", "--faults", "late_duplicate", "duplicate_reply")
    asked = requests(50)
    check_answers(ask(server.recipe(concurrency=2), asked), asked)
    assert server.replies().total() == len(asked)


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


# Odd replies


CAUSES = {
    **dict.fromkeys(BAD_BODIES, ("bad_reply",)),
    **dict.fromkeys(BROKEN_REPLIES, ("connection", "bad_reply")),
    **dict.fromkeys(ODD_ERRORS, ("server_error",)),
}
UNUSUAL = {**dict.fromkeys(UNUSUAL_REPLIES, UNUSUAL_TEXT), **dict.fromkeys(HALF_PAIRS, "a\ufffd")}


def write_recipe(server: Served, **keys: Any) -> Path:
    """Write the recipe `remote` of an LLM on this server."""
    given = {"engine": "openai", "model": "m", "endpoint": server.endpoint}
    path = Path("config/llms/remote.yaml")
    path.write_text(json.dumps({**given, **keys}))
    recipes.read_recipe.cache_clear()
    return path


def test_every_odd_reply_is_read_or_counted_and_no_row_is_requested_twice(
    serve: Serve, project: Path
) -> None:
    server = serve()
    write_recipe(server, attempts=3, require_all=False)
    good = requests(20)
    asked = [Request(name, name) for name in (*CAUSES, *UNUSUAL)]
    output = Path("results/answers/0.jsonl")
    generator = Generator("remote", output)
    results = generator.complete_all([*asked, *good], DECODING, "test")
    failed = {key: result for key, result in results.items() if isinstance(result, Failure)}
    wrong = {key: item for key, item in failed.items() if item.cause not in CAUSES.get(key, ())}
    assert not wrong
    assert set(failed) == set(CAUSES)
    check_answers({request.id: results[request.id] for request in good}, good)
    assert {key: results[key].text for key in UNUSUAL} == UNUSUAL
    replies = server.replies()
    assert {name: replies[name] for name in (*CAUSES, *UNUSUAL)} == {
        **dict.fromkeys(CAUSES, 3),
        **dict.fromkeys(UNUSUAL, 1),
    }
    assert generator.usage.failed.total() == len(CAUSES)
    # The next run asks only for the rows that failed.
    Generator("remote", output).complete_all([*asked, *good], DECODING, "test")
    assert server.replies() - replies == dict.fromkeys(CAUSES, 3)


def test_an_odd_first_reply_does_not_stop_the_job(serve: Serve) -> None:
    server = serve()
    odd = [Request(name, name) for name in ("other_protocol", "closed", "long_tokens")]
    results = ask(server.recipe(concurrency=1, attempts=6), [*odd, *requests(3)])
    assert [results[request.id].cause for request in odd] == ["connection"] * 2 + ["bad_reply"]
    check_answers({request.id: results[request.id] for request in requests(3)}, requests(3))


def test_the_change_of_half_a_surrogate_pair_is_logged(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    ask(serve().recipe(), [Request("row 7", "half_pair")])
    assert any("row 7" in line and "U+FFFD" in line for line in caplog.messages)


@pytest.mark.parametrize("logprob", ["NaN", "5", "1e999", '"-1"', "null", "true", "[]"])
def test_a_reply_with_odd_log_probabilities_is_a_bad_reply(logprob: str) -> None:
    entry = f'{{"token": "a", "logprob": {logprob}}}'
    body = (
        '{"choices": [{"message": {"content": "a"}, "finish_reason": "stop", "logprobs": '
        f'{{"content": [{{"top_logprobs": [{entry}]}}]}}}}]}}'
    )
    with pytest.raises(AttemptError) as caught:
        read_reply(body.encode(), True, Decoding(1, top_logprobs=1), Request("1", "a or b?"))
    assert caught.value.cause == "bad_reply"
    good = body.replace(entry, '{"token": "a\\ud83d", "logprob": -Infinity}')
    reply = read_reply(good.encode(), True, Decoding(1, top_logprobs=1), Request("1", "a or b?"))
    assert reply["first_token_logprobs"] == {"a\ufffd": float("-inf")}


def test_messages_of_a_server_have_no_hidden_characters(serve: Serve) -> None:
    hostile = "\x1b]0;title\x07\x1b[2J none \u202egnp\u2066\u200b\r\n\x9b31m"
    errors = ErrorMapper(serve().recipe(), "http://x", NO_KEY, lambda reason: None)
    message = str(errors.from_error(400, {"message": hostile}))
    assert message.isprintable()
    for part in (r"\x1b]0;title", r"\u202egnp", r"\u200b", " none "):
        assert part in message


def test_failed_attempts_are_logged_once_in_some_minutes(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    server = serve("--fault-share", "0.5", "--faults", "500")
    ask(server.recipe(), requests(30))
    lines = [line for line in caplog.messages if "Internal error" in line]
    assert len(lines) == 1
    for part in (server.endpoint, "attempt 1 of 12", "HTTP 500"):
        assert part in lines[0]


# Refusals


def test_what_a_provider_says_about_one_row_fails_this_row_only(serve: Serve) -> None:
    server = serve()
    refused = [Request(name, name) for name in REFUSALS]
    good = requests(5, chat=True)
    # The refusals come first, as in a suite of harmful questions.
    results = ask(server.recipe(chat=True, concurrency=1), [*refused, *good])
    for request in refused:
        result = results[request.id]
        assert isinstance(result, Failure) and result.cause == "refused", result
        assert REFUSALS[request.id][1] in result.message
    check_answers({request.id: results[request.id] for request in good}, good)
    replies = server.replies()
    assert {name: replies[name] for name in REFUSALS} == dict.fromkeys(REFUSALS, 1)


@pytest.mark.parametrize("name", ERRORS_OF_ALL)
def test_an_error_that_concerns_all_rows_stops_the_job_with_the_words_of_the_server(
    serve: Serve, name: str
) -> None:
    server = serve("--always", name)
    with pytest.raises(UserError) as caught:
        ask(server.recipe(chat=True, concurrency=1), requests(40))
    for part in (server.endpoint, ERRORS_OF_ALL[name][1]):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    assert server.replies().total() < 10


def test_an_error_that_begins_in_the_middle_of_a_run_stops_the_job(serve: Serve) -> None:
    first, then = serve(), serve("--always", "anthropic_credit")
    endpoint = Endpoint(first.recipe(concurrency=1), first.endpoint, NO_KEY)
    assert len(list(endpoint.complete(requests(5), DECODING))) == 5
    endpoint.url = then.endpoint
    with pytest.raises(UserError, match="balance is too low"):
        list(endpoint.complete(requests(40), DECODING))
    assert then.replies().total() < 10


# Errors that stop the job


def error_message(recipe: OpenAIRecipe) -> str:
    """Return the message of the error that stops the job."""
    with pytest.raises(UserError) as caught:
        ask(recipe, requests(8))
    return str(caught.value)


@pytest.mark.parametrize("attempts", [1, 2, 12])
def test_a_server_that_is_down_stops_the_job(attempts: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{probe.getsockname()[1]}/v1"
        recipe = {"engine": "openai", "model": "m", "endpoint": endpoint, "attempts": attempts}
        message = error_message(make_recipe(OpenAIRecipe, **recipe))
    for part in (endpoint, "start the server", "key endpoint"):
        assert part in message


@pytest.mark.parametrize("name", ["missing.pem", "text.pem", "."])
def test_certificates_that_cannot_be_read_are_one_message(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    (tmp_path / "text.pem").write_text("no certificate")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / name))
    assert "SSL_CERT_FILE" in error_message(serve().recipe())


@pytest.mark.parametrize("fault", ["429", "hang"])
def test_a_request_ends_after_its_time_with_all_waits(serve: Serve, fault: str) -> None:
    recipe = serve("--fault-share", "1", "--faults", fault).recipe(request_seconds=0.3)
    [result] = ask(recipe, requests(1)).values()
    assert isinstance(result, Failure) and result.cause == "timeout"
    assert "request_seconds" in result.message


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


@pytest.mark.parametrize("key", ["schlüssel", "one\ntwo", "a\x1b[31m"])
def test_a_key_that_cannot_be_sent_stops_the_job(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("MY_KEY", key)
    message = error_message(serve().recipe(key_variable="MY_KEY"))
    assert "MY_KEY" in message
    assert key not in message


def test_a_proxy_that_cannot_be_used_stops_the_job(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", "socks9://127.0.0.1")
    message = error_message(serve().recipe())
    for part in ("socks9://127.0.0.1", "ALL_PROXY"):
        assert part in message


@pytest.mark.parametrize(
    "url",
    [
        *("http://", "http:// x", "http://[::1", "http://a b/v1", "http://a\0b/v1", "http://a/\n"),
        *("http://127.0.0.1:99999/v1", "http://127.0.0.1:port/v1", "https:///v1", "ftp://a/v1"),
    ],
)
def test_an_endpoint_without_a_host_and_port_is_an_error(url: str) -> None:
    recipe = {"engine": "openai", "model": "m", "endpoint": url}
    with pytest.raises(UserError) as caught:
        validate(LLMRecipe, recipe, Path("config/llms/x.yaml"))
    for part in ("config/llms/x.yaml", "endpoint", repr(url)):
        assert part in str(caught.value)


@pytest.mark.parametrize(
    "url", ["http://[::1]:8000/v1", "https://api.example.org/v1?version=1", "http://host:80"]
)
def test_an_endpoint_may_be_any_url(url: str) -> None:
    recipe = {"engine": "openai", "model": "m", "endpoint": url}
    assert isinstance(validate(LLMRecipe, recipe, Path("config/llms/x.yaml")), OpenAIRecipe)


def test_no_file_and_no_log_line_has_the_key(
    serve: Serve, project: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("MY_KEY", KEY)
    server = serve("--key", KEY, "--fault-share", "0.3", "--faults", "500", "429", "truncated_json")
    write_recipe(server, key_variable="MY_KEY")
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
    assert retry_after({"retry-after-ms": "none", "retry-after": "9"}) == 9
    assert retry_after({"retry-after": "inf"}) == float("inf")
    seconds = retry_after({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"})
    assert seconds is not None and seconds > 1e11
    assert retry_after({}) is None


@pytest.mark.parametrize(
    "value",
    [
        *("soon", "", "0", "-5", "nan", "-inf", "5, 5", "Wed, 21 Oct 2015 07:28:00 GMT"),
        *("Wed, 21 Oct 99999 07:28:00 GMT", "Wed, 21 Oct 2015 07:28:00 +999999", "9" * 5000 + "x"),
    ],
)
def test_a_time_that_is_not_ahead_is_no_time_to_wait(value: str) -> None:
    assert retry_after({"retry-after": value}) is None


def test_pauses_of_unknown_length_double_until_a_success(clock: FakeClock) -> None:
    pacer = Pacer(None, None, 3600)

    def next_pause() -> float:
        """Return the length of a pause that begins after the last one."""
        clock.now = pacer.resume_at
        pacer.pause(None, "busy")
        return pacer.resume_at - clock.now

    assert [next_pause() for _ in range(3)] == pytest.approx([0.1, 0.2, 0.4])
    resume_at = pacer.resume_at
    pacer.pause(None, "busy")  # This reply came during the pause.
    assert pacer.resume_at == resume_at
    pacer.reset_pause()
    assert next_pause() == pytest.approx(0.1)


def test_a_request_whose_turn_comes_too_late_takes_none(clock: FakeClock) -> None:
    pacer = Pacer(60, None, 3600)

    async def wait(deadline: float) -> bool:
        try:
            await pacer.wait_for_turn(1, deadline)
        except TimeoutError:
            return False
        return True

    # A burst: turns come at the seconds 0, 1 and 2, and the last requests end before theirs.
    assert [asyncio.run(wait(clock.now + 0.5)) for _ in range(3)] == [True, False, False]
    assert clock.now == 0
    assert asyncio.run(wait(clock.now + 2))
    assert clock.now == 1


def waits(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the log lines about a wait."""
    return [line for line in caplog.messages if "longest_wait_seconds" in line]


def test_a_long_wait_is_logged_when_it_begins_and_every_five_minutes(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    pacer = Pacer(None, None, 3600)
    for _ in range(64):  # Replies to all requests in progress
        clock.now += 0.01
        assert pacer.pause(1500, "no quota left")
    assert len(waits(caplog)) == 1
    for part in ("no quota left", "25 min", "1.0 h"):
        assert part in waits(caplog)[0]
    asyncio.run(pacer.wait_for_turn(1))
    assert len(waits(caplog)) == 5
    assert clock.now == pytest.approx(1500, abs=1)


def test_many_short_waits_are_logged_every_five_minutes(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    pacer = Pacer(None, None, 3600)
    for _ in range(9):
        assert pacer.pause(1, "busy")
        asyncio.run(pacer.wait_for_turn(1))
    assert not waits(caplog)
    for _ in range(1191):
        assert pacer.pause(1, "busy")
        asyncio.run(pacer.wait_for_turn(1))
    assert 4 <= len(waits(caplog)) <= 5


@pytest.mark.parametrize("value", ["978307200", "inf", "nan", "-5", "0", "7", "5000"])
def test_a_rate_limit_without_an_end_stops_the_job_after_the_longest_wait(
    serve: Serve, clock: FakeClock, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    server = serve("--fault-share", "1", "--faults", "429_retry_after", "--retry-after", value)
    message = error_message(server.recipe(longest_wait_seconds=4000, concurrency=2))
    for part in (server.endpoint, "429", "Slow down", "1.1 h", "longest_wait_seconds"):
        assert part in message
    # At the end of the longest wait, the server was asked again for a minute.
    assert 4000 < clock.now < 4130
    assert server.replies().total() > 2
    assert any("Slow down" in line for line in waits(caplog))


def test_after_the_longest_wait_the_job_continues(serve: Serve, clock: FakeClock) -> None:
    options = ("--fault-share", "0.5", "--faults", "429_retry_after", "--retry-after", "1e9")
    asked = requests(20)
    check_answers(ask(serve(*options).recipe(longest_wait_seconds=3600), asked), asked)
    assert clock.now > 3600
