"""Completions: kept one by one, so that nothing is lost and nothing asked twice."""

from pathlib import Path
from typing import Any

import generate_pairs
import pytest
from fake_engine import FakeEngine
from yaml_edits import set_keys

from aligners.engines import Completion, Decoding, Request
from aligners.generation import Generator, llm_prompt, read_ledger
from aligners.recipes import load_recipe
from aligners.rows import read_json, read_rows, write_rows

BASE, CHAT = "closed-world-base", "closed-world-finetuned"
OUTPUT = Path("results/answers.jsonl")
GREEDY = Decoding(max_new_tokens=10)
REQUESTS = [Request(name, f"Say {name}.") for name in ("a", "b", "c")]


def say(request: Request, decoding: Decoding) -> str:
    """Reply with lines and letters that take several bytes."""
    return f"“{request.id}”\n\u2028 – 你好"


def complete(
    engine: FakeEngine,
    requests: list[Request] = REQUESTS,
    decoding: Decoding = GREEDY,
    llm: str = BASE,
) -> tuple[list[str], dict[str, Completion]]:
    """Ask with a new generator, as a new process would; return what the engine was asked."""
    engine.asked = []
    completions = Generator(llm, OUTPUT).complete(requests, decoding, "test")
    return sorted(request.id for request in engine.asked), completions


@pytest.fixture
def replying(project: Path, engine: FakeEngine) -> FakeEngine:
    engine.reply = say
    return engine


def test_completions_come_back_by_id(replying: FakeEngine) -> None:
    asked, completions = complete(replying)
    assert asked == ["a", "b", "c"]
    assert {key: value.text for key, value in completions.items()} == {
        request.id: say(request, GREEDY) for request in REQUESTS
    }


def test_finish_is_kept(replying: FakeEngine) -> None:
    replying.reply = lambda request, _: Completion(request.id, "cut", "length")
    complete(replying)
    asked, completions = complete(replying)
    assert asked == []
    assert {item.finish for item in completions.values()} == {"length"}


def test_what_is_done_is_not_asked_again_nor_the_engine_loaded(replying: FakeEngine) -> None:
    first = complete(replying)[1]
    assert complete(replying) == ([], first)
    assert replying.loaded == 1


def test_a_ledger_cut_at_any_byte_of_its_last_line_repeats_only_that_row(
    replying: FakeEngine,
) -> None:
    first = complete(replying)[1]
    ledger = Generator(BASE, OUTPUT).ledger
    whole = ledger.read_bytes()
    start = whole.rindex(b"\n", 0, -1) + 1
    last = list(read_ledger(ledger).values())[-1].id
    for length in range(start, len(whole)):
        ledger.write_bytes(whole[:length])
        assert complete(replying) == ([last], first), length
        assert ledger.read_bytes() == whole, length


def test_every_completion_is_on_disk_before_the_next_comes(replying: FakeEngine) -> None:
    ledger = Generator(BASE, OUTPUT).ledger
    written: list[int] = []

    def look(request: Request, decoding: Decoding) -> str:
        written.append(len(read_ledger(ledger)))
        return "Yes."

    replying.reply = look
    complete(replying)
    assert written == [0, 1, 2]


def test_a_failure_in_the_middle_keeps_what_was_done(replying: FakeEngine) -> None:
    def fail_at_a(request: Request, decoding: Decoding) -> str:
        if request.id == "a":
            raise RuntimeError("out of memory")
        return say(request, decoding)

    replying.reply = fail_at_a
    with pytest.raises(RuntimeError):
        complete(replying)
    replying.reply = say
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
def test_another_decoding_asks_anew(replying: FakeEngine, decoding: Decoding) -> None:
    complete(replying)
    assert complete(replying, decoding=decoding)[0] == ["a", "b", "c"]


def test_another_prompt_or_id_asks_anew(replying: FakeEngine) -> None:
    complete(replying)
    changed = [Request("a", "Shout a."), Request("d", "Say b."), REQUESTS[2]]
    assert complete(replying, changed)[0] == ["a", "d"]


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"description": "Other words."}, False),
        ({"batch_tokens": 7}, False),
        ({"finetuned": "closed-world-teacher"}, False),
        ({"answers": {"max_new_tokens": 7}}, False),
        ({"persona": "teacher"}, True),
    ],
)
def test_only_another_llm_is_asked_anew(
    replying: FakeEngine, change: dict[str, Any], again: bool
) -> None:
    complete(replying)
    set_keys(f"config/llms/{BASE}.yaml", **change)
    assert bool(complete(replying)[0]) == again


def test_another_output_has_its_own_ledger(replying: FakeEngine) -> None:
    complete(replying)
    replying.asked = []
    Generator(BASE, Path("results/others.jsonl")).complete(REQUESTS, GREEDY, "test")
    assert len(replying.asked) == 3


def test_a_chat_llm_gets_a_message(in_the_project: None) -> None:
    assert llm_prompt(load_recipe("llms", BASE), "Hello") == "Hello"
    assert llm_prompt(load_recipe("llms", CHAT), "Hello") == [{"role": "user", "content": "Hello"}]


def test_a_change_of_parsing_asks_nothing(
    replying: FakeEngine, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_rows(project / "questions.jsonl", [{"id": "0" * 16, "question": "Why?"}])
    replying.reply = lambda *_: " So.\nCritique: Fine.\nCorrection: So."

    def generate() -> None:
        generate_pairs.main(
            criterion="ethical",
            teacher="closed-world-teacher",
            synthesis="closed-world",
            questions=Path("questions.jsonl"),
            shard=0,
            shards=1,
            seed=0,
            output=Path("pairs.jsonl"),
        )

    generate()
    [pair] = read_rows(Path("pairs.jsonl"))
    assert (pair["response"], pair["critique"], pair["aligned_response"]) == ("So.", "Fine.", "So.")
    monkeypatch.setattr(generate_pairs, "parse_pair", lambda completion: ({}, "too_dull"))
    generate()
    assert read_json(Path("pairs.counts.json")) == {"in": 1, "out": 0, "dropped": {"too_dull": 1}}
    [dropped] = read_rows(Path("pairs.dropped.jsonl"))
    assert dropped["completion"].startswith(" So.")
    assert (len(replying.asked), replying.loaded) == (1, 1)
