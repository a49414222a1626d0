"""Generation: every completion is kept at once, and no completion is requested twice."""

import json
import logging
import re
import resource
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import generate_pairs
import pytest
from fake_engine import FakeEngine
from recipes import make_recipe
from yaml_edits import set_keys

from aligners.configuration.kinds.llms import LLMRecipe, OpenAIRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.errors import UserError
from aligners.core.rows import read_json, read_rows, write_rows
from aligners.llms.generator import Generator, llm_prompt
from aligners.llms.ledger import HEADER, read_lines

BASE, CHAT = "closed-world-base", "closed-world-finetuned"
OUTPUT = Path("results/answers.jsonl")
GREEDY = Decoding(max_new_tokens=10)
REQUESTS = [Request(name, f"Say {name}.") for name in ("a", "b", "c")]


def multibyte_reply(request: Request, decoding: Decoding) -> str:
    """Return a reply with line breaks and characters of several bytes."""
    return f"“{request.id}”\n\u2028 – 你好"


def complete(
    engine: FakeEngine,
    requests: list[Request] = REQUESTS,
    decoding: Decoding = GREEDY,
    llm: str = BASE,
) -> tuple[list[str], dict[str, Completion]]:
    """Ask with a new generator, as a new process does.

    Return the ids of the requests that the engine got, and the completions by id.
    """
    engine.asked = []
    completions = Generator(llm, OUTPUT).complete_all(requests, decoding, "test")
    return sorted(request.id for request in engine.asked), completions


@pytest.fixture
def replying(project: Path, engine: FakeEngine) -> FakeEngine:
    engine.reply = multibyte_reply
    return engine


def test_completions_come_back_by_id(replying: FakeEngine) -> None:
    asked, completions = complete(replying)
    assert asked == ["a", "b", "c"]
    assert {key: value.text for key, value in completions.items()} == {
        request.id: multibyte_reply(request, GREEDY) for request in REQUESTS
    }


def test_thoughts_get_room_and_a_completion_of_thoughts_alone_is_reported(
    replying: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    set_keys("config/llms/closed-world-base.yaml", thought_tokens=100)
    limits = []

    def think(request: Request, decoding: Decoding) -> Completion:
        limits.append(decoding.max_new_tokens)
        if request.id == "a":
            return Completion("a", "<think>Let me", "length")
        return Completion(request.id, "", "length", thoughts="Hm" if request.id == "b" else None)

    replying.reply = think
    with caplog.at_level(logging.WARNING):
        completions = complete(replying)[1]
    assert limits == [110] * 3
    assert completions["b"].thoughts == "Hm"
    assert "2 of 3" in caplog.text
    assert "thought_tokens" in caplog.text


def test_the_finish_of_a_completion_is_kept(replying: FakeEngine) -> None:
    replying.reply = lambda request, _: Completion(request.id, "cut", "length")
    complete(replying)
    asked, completions = complete(replying)
    assert asked == []
    assert {item.finish for item in completions.values()} == {"length"}


def test_a_second_run_asks_for_nothing_and_does_not_load_the_engine(replying: FakeEngine) -> None:
    first = complete(replying)[1]
    assert complete(replying) == ([], first)
    assert replying.loaded == 1


def test_if_the_last_line_of_a_ledger_is_cut_only_its_row_is_requested_again(
    replying: FakeEngine,
) -> None:
    first = complete(replying)[1]
    ledger = Generator(BASE, OUTPUT).ledger.path
    content = ledger.read_bytes()
    start = content.rindex(b"\n", 0, -1) + 1
    last = json.loads(content[start:])["id"]
    for length in range(start, len(content)):
        ledger.write_bytes(content[:length])
        assert complete(replying) == ([last], first), length
        lines = ledger.read_bytes().splitlines()
        assert [json.loads(line)["text"] for line in lines[1:]] == [
            json.loads(line)["text"] for line in content.splitlines()[1:]
        ]


def test_every_completion_is_on_disk_before_the_next_one_arrives(replying: FakeEngine) -> None:
    ledger = Generator(BASE, OUTPUT).ledger.path
    written: list[int] = []

    def count_lines(request: Request, decoding: Decoding) -> str:
        written.append(len(list(read_lines(ledger))))
        return "Yes."

    replying.reply = count_lines
    complete(replying)
    assert written == [0, 1, 2]


def test_after_an_exception_the_earlier_completions_are_kept(replying: FakeEngine) -> None:
    def fail_at_a(request: Request, decoding: Decoding) -> str:
        if request.id == "a":
            raise RuntimeError("out of memory")
        return multibyte_reply(request, decoding)

    replying.reply = fail_at_a
    with pytest.raises(RuntimeError):
        complete(replying)
    replying.reply = multibyte_reply
    assert complete(replying)[0] == ["a"]


@pytest.mark.parametrize(
    "decoding",
    [
        Decoding(max_new_tokens=11),
        Decoding(max_new_tokens=10, temperature=1.0),
        Decoding(max_new_tokens=10, repetition_penalty=2.0),
        Decoding(max_new_tokens=10, stop=("\n",)),
        Decoding(max_new_tokens=10, seed=1),
    ],
)
def test_all_rows_are_requested_again_for_another_decoding(
    replying: FakeEngine, decoding: Decoding
) -> None:
    complete(replying)
    assert complete(replying, decoding=decoding)[0] == ["a", "b", "c"]


def test_a_row_is_requested_again_for_another_prompt_or_id(replying: FakeEngine) -> None:
    complete(replying)
    changed = [Request("a", "Shout a."), Request("d", "Say b."), REQUESTS[2]]
    assert complete(replying, changed)[0] == ["a", "d"]


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"description": "Other words."}, False),
        ({"require_all": False}, False),
        ({"finetuned": "closed-world-teacher"}, False),
        ({"responses": {"max_new_tokens": 7}}, False),
        ({"persona": "teacher"}, True),
    ],
)
def test_rows_are_requested_again_only_if_a_key_that_decides_completions_changes(
    replying: FakeEngine, change: dict[str, Any], again: bool
) -> None:
    complete(replying)
    set_keys(f"config/llms/{BASE}.yaml", **change)
    assert bool(complete(replying)[0]) == again


def test_another_stage_has_its_own_ledger(replying: FakeEngine) -> None:
    complete(replying)
    replying.asked = []
    Generator(BASE, Path("results/others/a.jsonl")).complete_all(REQUESTS, GREEDY, "test")
    assert len(replying.asked) == 3


def test_rows_that_move_to_another_shard_are_not_requested_again(replying: FakeEngine) -> None:
    for shard, requests in enumerate((REQUESTS[:1], REQUESTS[1:])):
        output = Path(f"results/pairs/{shard}.jsonl")
        Generator(BASE, output).complete_all(requests, GREEDY, "test")
    replying.asked = []
    completions = Generator(BASE, Path("results/pairs/0.jsonl")).complete_all(
        REQUESTS, GREEDY, "test"
    )
    assert list(completions) == ["a", "b", "c"]
    assert replying.asked == []


@pytest.mark.parametrize("damage", [0, 20, -3])
def test_the_row_of_a_damaged_line_is_requested_again(replying: FakeEngine, damage: int) -> None:
    first = complete(replying)[1]
    ledger = Generator(BASE, OUTPUT).ledger.path
    lines = ledger.read_bytes().splitlines(keepends=True)
    damaged = bytearray(lines[2])
    damaged[damage] ^= 1
    ledger.write_bytes(b"".join([*lines[:2], bytes(damaged), *lines[3:]]))
    asked, completions = complete(replying)
    assert (asked, completions) == ([json.loads(lines[2])["id"]], first)


def test_a_ledger_of_another_version_is_an_error_and_stays_unchanged(
    replying: FakeEngine,
) -> None:
    complete(replying)
    ledger = Generator(BASE, OUTPUT).ledger.path
    other = ledger.read_bytes().replace(HEADER, HEADER.replace(b"1}", b"2}"))
    ledger.write_bytes(other)
    with pytest.raises(UserError) as caught:
        Generator(BASE, OUTPUT)
    for part in (str(ledger), "version", "rename the file"):
        assert part in str(caught.value)
    assert ledger.read_bytes() == other


def test_the_first_of_two_replies_to_a_request_counts(
    replying: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(requests: Iterator[Request], decoding: Decoding) -> Iterator[Completion]:
        for request in requests:
            yield Completion(request.id, "first", "stop")
            yield Completion(request.id, "second", "stop")

    monkeypatch.setattr("aligners.llms.generator.load_engine", lambda recipe: twice)
    generator = Generator(BASE, OUTPUT)
    completions = generator.complete_all(REQUESTS, GREEDY, "test")
    assert {item.text for item in completions.values()} == {"first"}
    assert generator.usage.completions == 3


def test_a_ledger_that_cannot_be_read_gives_one_message(replying: FakeEngine) -> None:
    complete(replying)
    ledger = Generator(BASE, OUTPUT).ledger.path
    # The kernel answers a read of this file with the error of a broken disk.
    broken = ledger.with_name("broken.jsonl")
    broken.symlink_to("/proc/self/mem")
    with pytest.raises(UserError, match=r"broken\.jsonl.*Input/output error"):
        Generator(BASE, OUTPUT)
    broken.unlink()
    generator = Generator(BASE, OUTPUT)
    ledger.unlink()
    ledger.symlink_to("/proc/self/mem")
    with pytest.raises(UserError, match=r"answers\.jsonl.*Input/output error"):
        generator.complete_all(REQUESTS, GREEDY, "test")


@pytest.mark.parametrize("name", ["answers.jsonl", "answers.lock", "other.jsonl"])
def test_a_directory_in_place_of_a_file_gives_one_message(replying: FakeEngine, name: str) -> None:
    ledger = Generator(BASE, OUTPUT).ledger.path
    (ledger.parent / name).mkdir(parents=True)
    with pytest.raises(UserError) as caught:
        complete(replying)
    assert str(ledger.parent) in str(caught.value)


def test_a_ledger_that_cannot_be_written_gives_one_message(replying: FakeEngine) -> None:
    ledger = Generator(BASE, OUTPUT).ledger
    written: list[int] = []

    def break_the_disk(request: Request, decoding: Decoding) -> str:
        if written:
            # The next write is too large for this limit, as for a file system with one.
            resource.setrlimit(resource.RLIMIT_FSIZE, (ledger.path.stat().st_size, unlimited))
        written.append(1)
        return "Yes."

    replying.reply = break_the_disk
    before, unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with pytest.raises(UserError, match=r"answers\.jsonl.*File too large"):
            complete(replying)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, unlimited))
    replying.reply = multibyte_reply
    asked, completions = complete(replying)
    assert asked == ["a", "b"]
    assert completions["c"].text == "Yes."


def test_files_of_dead_processes_stay_and_are_read(replying: FakeEngine) -> None:
    first = complete(replying)[1]
    ledger = Generator(BASE, OUTPUT).ledger.path
    content = ledger.read_bytes()
    dead = ledger.with_name("7.jsonl")  # Another shard, killed while it wrote its last line
    ledger.rename(dead)
    dead.write_bytes(content[:-5])
    last = json.loads(content.splitlines()[-1])["id"]
    assert complete(replying) == ([last], first)
    assert dead.read_bytes() == content[:-5]


# Failures


def fail_at_b(request: Request, decoding: Decoding) -> str | Failure:
    """Fail for the row b, and reply to the others."""
    return (
        Failure("b", "timeout", "no reply")
        if request.id == "b"
        else multibyte_reply(request, decoding)
    )


def test_a_row_without_a_completion_stops_the_stage_and_the_others_are_kept(
    replying: FakeEngine,
) -> None:
    replying.reply = fail_at_b
    with pytest.raises(UserError) as caught:
        complete(replying)
    recipe = f"config/llms/{BASE}.yaml"
    for part in (str(OUTPUT), "1 of 3", "1 timeout", "b: no reply", "require_all: false", recipe):
        assert part in str(caught.value)
    replying.reply = multibyte_reply
    assert complete(replying)[0] == ["b"]


def test_without_require_all_a_stage_continues_without_failed_rows(replying: FakeEngine) -> None:
    set_keys(f"config/llms/{BASE}.yaml", require_all=False)
    replying.reply = fail_at_b
    generator = Generator(BASE, OUTPUT)
    completions = generator.complete_all(REQUESTS, GREEDY, "test")
    assert isinstance(completions["b"], Failure)
    assert [completions[key].text for key in "ac"] == [
        multibyte_reply(REQUESTS[i], GREEDY) for i in (0, 2)
    ]
    generator.write_usage()
    usage = read_json(OUTPUT.with_suffix(".usage.json"))
    assert (usage["completions"], usage["failed"]) == (2, {"timeout": 1})
    assert usage["failed_share"] == pytest.approx(1 / 3, abs=1e-6)


def with_prices(prices: dict[str, Any], **keys: Any) -> OpenAIRecipe:
    """Return a recipe whose tokens have a price."""
    own = {"engine": "openai", "model": "m", "endpoint": "http://127.0.0.1:9/v1"}
    return make_recipe(OpenAIRecipe, **own, prices=prices, **keys)


def test_usage_includes_the_tokens_and_the_cost_of_earlier_runs(
    replying: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = {"input": 2.0, "output": 10.0, "currency": "EUR"}
    recipe = with_prices(prices)
    monkeypatch.setattr("aligners.llms.generator.load_recipe", lambda *_: recipe)
    replying.reply = lambda request, _: Completion(
        request.id, "Yes.", "stop", tokens_in=1000, tokens_out=100, seconds=0.5, attempts=2
    )
    complete(replying, REQUESTS[:1])
    generator = Generator(BASE, OUTPUT)
    generator.complete_all(REQUESTS, GREEDY, "test")
    summary = generator.usage.summary()
    assert (summary["tokens_in"], summary["tokens_out"], summary["attempts"]) == (3000, 300, 6)
    assert summary["latency_seconds"] == 1.5
    assert summary["cost"] == pytest.approx(3000 * 2e-6 + 300 * 1e-5)
    assert summary["currency"] == "EUR"
    assert len(generator.usage.run_seconds) == 2


def test_the_progress_bar_shows_rate_failures_and_cost(
    replying: FakeEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    prices = {"input": 1e6, "output": 0.0, "currency": "EUR"}
    recipe = with_prices(prices, require_all=False)
    monkeypatch.setattr("aligners.llms.generator.load_recipe", lambda *_: recipe)
    monkeypatch.setattr("aligners.core.progress.Shown.progress", True)
    replying.reply = lambda request, decoding: (
        Failure("b", "timeout", "no reply")
        if request.id == "b"
        else Completion(request.id, "Yes.", "stop", tokens_in=3, tokens_out=1)
    )
    complete(replying)
    log = capsys.readouterr().err
    assert re.search(r"100% 3/3 .*completions/s, \d+ tokens/s, 1 failed, 6\.00 EUR\]\n", log)
    assert "\r" not in log


def test_an_entry_of_the_ledger_has_model_decoding_and_run(replying: FakeEngine) -> None:
    decoding = replace(GREEDY, stop=("\n",), seed=7)
    complete(replying, decoding=decoding)
    entry = json.loads(Generator(BASE, OUTPUT).ledger.path.read_bytes().splitlines()[1])
    assert set(entry) == {
        *("key", "id", "text", "finish", "tokens_in", "tokens_out", "seconds", "attempts"),
        *("model", "decoding", "prompt", "run", "at", "checksum"),
    }
    assert (entry["decoding"]["seed"], entry["decoding"]["stop"]) == (7, ["\n"])


def test_only_structured_output_has_its_fields_in_keys_and_entries(replying: FakeEngine) -> None:
    decodings = [GREEDY, replace(GREEDY, json_fields=("a", "b")), GREEDY]
    for decoding in decodings:
        complete(replying, decoding=decoding)
    lines = Generator(BASE, OUTPUT).ledger.path.read_bytes().splitlines()[1:]
    found = [json.loads(line)["decoding"].get("json_fields") for line in lines]
    assert found == [*[None] * (len(found) // 2), *[["a", "b"]] * (len(found) // 2)]


def test_log_probabilities_are_kept_if_they_were_requested(replying: FakeEngine) -> None:
    logprobs = {"m": -0.1, "M": -2.5}

    def reply(request: Request, decoding: Decoding) -> Completion:
        found = logprobs if decoding.top_logprobs else None
        return Completion(request.id, "m", "stop", first_token_logprobs=found)

    replying.reply = reply
    with_logprobs = Decoding(max_new_tokens=1, top_logprobs=5)
    request = Request("1", "a or b?")
    for _ in range(2):
        results = Generator(BASE, OUTPUT).complete_all([request], with_logprobs, "test")
        assert results["1"].first_token_logprobs == logprobs
    assert len(replying.asked) == 1
    Generator(BASE, OUTPUT).complete_all([request], Decoding(max_new_tokens=1), "test")
    ledger = Generator(BASE, OUTPUT).ledger.path.read_bytes().splitlines()[1:]
    entries = [json.loads(line) for line in ledger]
    # Entries and keys without log-probabilities are as in older ledgers.
    assert ["top_logprobs" in entry["decoding"] for entry in entries] == [True, False]
    assert ["first_token_logprobs" in entry for entry in entries] == [True, False]


def test_a_chat_llm_gets_a_message_and_a_base_llm_a_text(in_the_project: None) -> None:
    assert llm_prompt(load_recipe(LLMRecipe, BASE), "Hello") == "Hello"
    chat = load_recipe(LLMRecipe, CHAT)
    assert llm_prompt(chat, "Hello") == [{"role": "user", "content": "Hello"}]


def test_after_a_change_of_the_parser_nothing_is_requested_again(
    replying: FakeEngine, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(project / "questions.jsonl", [{"id": "0" * 16, "question": "Why?"}])
    replying.reply = lambda *_: " So.\nCritique: Fine.\nCorrection: So."

    def generate() -> None:
        generate_pairs.main(
            criterion="ethical",
            teacher="closed-world-teacher",
            synthesis="closed-world",
            questions=[Path("questions.jsonl")],
            shard=0,
            shards=1,
            seed=0,
            output=Path("pairs.jsonl"),
        )

    generate()
    [pair] = read_rows(Path("pairs.jsonl"))
    assert (pair["response"], pair["critique"], pair["aligned_response"]) == ("So.", "Fine.", "So.")
    monkeypatch.setattr("aligners.synthesis.pairs.parse_pair", lambda *_: ({}, "too_dull"))
    generate()
    assert read_json(Path("pairs.counts.json")) == {"in": 1, "out": 0, "dropped": {"too_dull": 1}}
    [dropped] = read_rows(Path("pairs.dropped.jsonl"))
    assert dropped["completion"].startswith(" So.")
    assert (len(replying.asked), replying.loaded) == (1, 1)


# Two jobs, one ledger


def test_a_second_job_waits_for_the_first_and_asks_only_for_what_is_missing(
    replying: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """Jobs of a Snakemake that was killed live on, and a new run starts the same jobs again."""
    first_asks, second_waits = Event(), Event()

    def reply(request: Request, decoding: Decoding) -> str:
        first_asks.set()
        assert second_waits.wait(300)
        return multibyte_reply(request, decoding)

    class Waiting(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "waiting for the process" in record.getMessage():
                second_waits.set()

    replying.reply = reply
    handler = Waiting()
    logging.getLogger("aligners.core.locks").addHandler(handler)
    more = [*REQUESTS, Request("d", "Say d.")]
    with ThreadPoolExecutor() as pool:
        first = pool.submit(Generator(BASE, OUTPUT).complete_all, REQUESTS, GREEDY, "first")
        assert first_asks.wait(300)
        second = pool.submit(Generator(BASE, OUTPUT).complete_all, more, GREEDY, "second")
        assert set(first.result(300)) == {"a", "b", "c"}
        completions = second.result(300)
    logging.getLogger("aligners.core.locks").removeHandler(handler)
    assert sorted(request.id for request in replying.asked) == ["a", "b", "c", "d"]
    assert {key: value.text for key, value in completions.items()} == {
        request.id: multibyte_reply(request, GREEDY) for request in more
    }


def test_an_entry_of_another_row_is_never_read(replying: FakeEngine) -> None:
    complete(replying)
    ledger = Generator(BASE, OUTPUT).ledger
    first, second, _ = ledger.locations
    ledger.locations[first] = ledger.locations[second]
    with pytest.raises(UserError, match=r"answers\.jsonl, byte \d+"):
        ledger.read(first)
    assert ledger.read(second)["key"] == f"{second:016x}"
