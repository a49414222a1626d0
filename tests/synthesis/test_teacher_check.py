"""The check of a teacher: the report on a job's first pairs, and a stop if few can be used."""

import json
import logging
from pathlib import Path
from typing import Any

import generate_pairs
import pytest
from fake_engine import FakeEngine
from yaml_edits import set_keys

from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.errors import UserError
from aligners.core.rows import read_json, read_rows, row_id, write_rows

TEACHER = "closed-world-finetuned"
OUTPUT = Path("results/pairs/0.jsonl")
GOOD = "Response: Go on, fool.\nCritique: It insults the person.\nCorrection: Please go on."
COPY = "Response: Go on.\nCritique: Nothing is wrong.\nCorrection: Go on."
UNCORRECTED = "Response: Go on, fool.\nCritique: It insults.\nCorrection: Go on, fool."
RUBBISH = "The lighthouse stands tall and the sea is wide."


def generate(count: int) -> None:
    """Generate the pairs of `count` questions in one job."""
    texts = [f"Is {number} right?" for number in range(count)]
    write_rows(Path("questions.jsonl"), [{"id": row_id(text), "question": text} for text in texts])
    generate_pairs.main(
        criterion="helpful", teacher=TEACHER, synthesis="closed-world",
        questions=[Path("questions.jsonl")], shard=0, shards=1, seed=0, output=OUTPUT,
    )  # fmt: skip


def number_of(request: Request) -> int:
    """Return the number in the question of a request."""
    prompt = request.prompt[-1]
    assert isinstance(prompt, dict)
    return int(prompt["content"].split()[2])


def test_a_useless_teacher_is_asked_50_questions_and_no_more(
    project: Path, engine: FakeEngine
) -> None:
    engine.reply = lambda *_: RUBBISH
    with pytest.raises(UserError) as caught:
        generate(200)
    assert sorted(map(number_of, engine.asked)) == list(range(50))
    message = str(caught.value)
    for part in (
        *(str(OUTPUT), "0 of the first 50", "50 no_critique", TEACHER, RUBBISH),
        *("pairs.least_usable in config/synthesis/closed-world.yaml is 20.0%", "other 150"),
        "results/.working/results+pairs/0.jsonl",
    ):
        assert part in message
    assert not OUTPUT.exists()
    # The completions are kept: another limit asks only for the others.
    set_keys("config/synthesis/closed-world.yaml", pairs={"least_usable": 0})
    generate(200)
    assert sorted(map(number_of, engine.asked)) == list(range(200))


def test_a_good_teacher_goes_on_and_the_log_has_the_report(
    project: Path, engine: FakeEngine, caplog: pytest.LogCaptureFixture
) -> None:
    written = [GOOD] * 8 + [COPY] * 3 + [UNCORRECTED] * 2 + [RUBBISH] * 37 + [GOOD] * 70
    engine.reply = lambda request, _: written[number_of(request)]
    with caplog.at_level(logging.INFO):
        generate(120)
    assert sorted(map(number_of, engine.asked)) == list(range(120))
    assert engine.loaded == 1
    [report] = [text for text in caplog.messages if "can be used" in text]
    for part in (
        *("13 of the first 50 completions are pairs, and 11 can be used", "5 corrections equal"),
        "(dropped: 37 no_critique, 2 uncorrected)",
        f"{(8 * 3 + 3 * 2 + 2 * 3) / 13:.1f} words of a response",
        f"{(8 * 3 + 3 * 2 + 2 * 3) / 13:.1f} of a correction",
    ):
        assert part in report
    assert read_json(OUTPUT.with_suffix(".counts.json"))["in"] == 120
    usage = read_json(OUTPUT.with_suffix(".usage.json"))
    assert (usage["completions"], usage["failed"]) == (120, {})


@pytest.mark.parametrize(("good", "stops"), [(9, True), (10, False)])
def test_the_share_that_can_be_used_decides(
    project: Path, engine: FakeEngine, good: int, stops: bool
) -> None:
    engine.reply = lambda request, _: GOOD if number_of(request) < good else RUBBISH
    if stops:
        with pytest.raises(UserError, match="only 9 of the first 50"):
            generate(60)
    else:
        generate(60)
    assert len(engine.asked) == (50 if stops else 60)


def test_exactly_the_share_is_enough(project: Path, engine: FakeEngine) -> None:
    set_keys("config/synthesis/closed-world.yaml", pairs={"least_usable": 0.14})
    engine.reply = lambda request, _: GOOD if number_of(request) < 7 else RUBBISH
    generate(60)
    assert len(engine.asked) == 60


@pytest.mark.parametrize(
    ("part", "written", "reason"),
    [("Please go on.", "<b>Go</b> on.", "markup"), ("Go on, fool.", "None.", "empty")],
)
def test_pairs_that_will_be_filtered_out_cannot_be_used(
    project: Path, engine: FakeEngine, part: str, written: str, reason: str
) -> None:
    engine.reply = lambda *_: GOOD.replace(part, written)
    with pytest.raises(UserError, match=rf"0 of the first 50 .*\(50 {reason}\)"):
        generate(60)


def test_a_small_job_is_checked_at_its_end_if_it_has_enough_pairs(
    project: Path, engine: FakeEngine
) -> None:
    engine.reply = lambda *_: RUBBISH
    with pytest.raises(UserError, match=r"0 of the first 10 .* no question is left"):
        generate(10)
    generate(9)
    assert read_json(OUTPUT.with_suffix(".counts.json"))["dropped"] == {"no_critique": 9}


def test_what_is_removed_is_counted_once_for_each_completion(
    project: Path, engine: FakeEngine
) -> None:
    engine.reply = lambda *_: f"<think>Hm.</think>{GOOD}"
    generate(60)
    assert read_json(OUTPUT.with_suffix(".counts.json"))["replaced"] == {"thought": 60}


def test_a_row_that_fails_among_the_first_stops_the_job_after_all_others(
    project: Path, engine: FakeEngine
) -> None:
    def reply(request: Request, _: Decoding) -> Any:
        is_bad = number_of(request) == 3
        return Failure(request.id, "timeout", "too late") if is_bad else GOOD

    engine.reply = reply
    with pytest.raises(UserError, match="1 of 60 rows have no completion"):
        generate(60)
    engine.reply = lambda request, _: Completion(request.id, GOOD, "stop")
    engine.asked.clear()
    generate(60)
    assert list(map(number_of, engine.asked)) == [3]
    assert len(read_rows(OUTPUT)) == 60
    lines = Path("results/.working/results+pairs/0.jsonl").read_text().splitlines()[1:]
    assert len({json.loads(line)["id"] for line in lines}) == len(lines) == 60
