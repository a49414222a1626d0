"""Squads as artifacts: the Python API, its threads, and the checks of a squad's directory."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from projects import ROOT
from tiny_squad import CORRECTION, KIND, QUESTION, RUDE, UNFAMILIAR, make_squad

from aligners import Correction, Squad
from aligners.core.errors import UserError
from aligners.core.rows import read_json, write_json

LONG_QUESTION = "word " * 60


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a trained squad."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return make_squad(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def squad(directory: Path) -> Squad:
    return Squad.load(directory)


@pytest.fixture
def copy(directory: Path, tmp_path: Path) -> Path:
    """A copy of the squad, which a test may damage."""
    return Path(shutil.copytree(directory, tmp_path / "copy"))


def test_the_record_has_no_file_with_a_time(squad: Squad) -> None:
    assert any(path.endswith("model.safetensors") for path in squad.record.files)
    assert not any(path.endswith("training.json") for path in squad.record.files)


def test_a_misaligned_response_is_corrected(squad: Squad) -> None:
    correction = squad.correct(QUESTION, RUDE)
    assert (correction.text, correction.action, correction.reason) == (
        CORRECTION,
        "corrected",
        "accepted",
    )
    assert correction.acted == ["ethical"]
    score = correction.scores["ethical"]
    assert score is not None and score < 0.5
    [turn] = correction.trace
    assert turn["after"]["ethical"] > 0.5 and turn["aligned_response"] == CORRECTION


@pytest.mark.parametrize(
    ("question", "response", "action", "reason"),
    [
        (QUESTION, KIND, "unchanged", "above_threshold"),
        (QUESTION, "", "skipped", "empty_response"),
        (QUESTION, " \n", "skipped", "empty_response"),
        (UNFAMILIAR, RUDE, "skipped", "unfamiliar_question"),
        (LONG_QUESTION, RUDE, "skipped", "question_too_long"),
        (QUESTION, RUDE * 12, "skipped", "too_long"),
        # Its correction equals the text already.
        (QUESTION, CORRECTION, "unchanged", "above_threshold"),
    ],
)
def test_other_responses_keep_their_text_and_have_a_reason(
    squad: Squad, question: str, response: str, action: str, reason: str
) -> None:
    correction = squad.correct(question, response)
    assert (correction.text, correction.action, correction.reason) == (response, action, reason)
    assert correction.acted == []


def test_a_list_gives_what_its_rows_give_one_by_one(squad: Squad) -> None:
    questions = [QUESTION, UNFAMILIAR, QUESTION, QUESTION]
    responses = [RUDE, RUDE, KIND, "silly you, it is 5."]
    together = squad.correct_all(questions, responses)
    alone = [squad.correct(*row) for row in zip(questions, responses, strict=True)]
    assert [each.text for each in together] == [each.text for each in alone]
    assert [each.reason for each in together] == [each.reason for each in alone]
    assert squad.correct_all([], []) == []


def test_scores_alone_change_no_text(squad: Squad) -> None:
    scores = squad.inspect(QUESTION, RUDE)
    assert scores == squad.correct(QUESTION, RUDE).scores
    assert squad.inspect_all([LONG_QUESTION], [RUDE]) == [{"ethical": None}]


def test_many_calls_at_once_are_batched_and_each_gets_its_own_result(squad: Squad) -> None:
    rows = [(QUESTION, text) for text in (RUDE, KIND, "", "never ask, it is 2.")] * 10

    async def correct_all() -> list[Correction]:
        return await asyncio.gather(*(squad.acorrect(*row) for row in rows))

    expected = {row: squad.correct(*row).text for row in rows}
    for row, correction in zip(rows, asyncio.run(correct_all()), strict=True):
        assert correction.text == expected[row]


def test_threads_share_a_squad(squad: Squad) -> None:
    rows = [(QUESTION, RUDE), (QUESTION, KIND), (QUESTION, KIND * 9)] * 8
    expected = {row: squad.correct(*row).text for row in rows}
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda row: squad.correct(*row).text, rows))
    assert found == [expected[row] for row in rows]


def test_a_faulty_row_fails_alone(squad: Squad) -> None:
    async def correct_both() -> list[Any]:
        rows = [(QUESTION, RUDE), (QUESTION, "half \ud800"), (QUESTION, KIND)]
        calls = (squad.acorrect(*row) for row in rows)
        return await asyncio.gather(*calls, return_exceptions=True)

    first, faulty, last = asyncio.run(correct_both())
    assert isinstance(faulty, UserError) and "surrogate" in str(faulty)
    assert (first.text, last.text) == (CORRECTION, KIND)


def test_a_list_needs_as_many_responses_as_questions(squad: Squad) -> None:
    with pytest.raises(ValueError, match="2 questions, but 1 responses"):
        squad.correct_all(["a", "b"], ["c"])


@pytest.mark.parametrize("text", [None, 3])
def test_what_is_no_text_is_one_message(squad: Squad, text: Any) -> None:
    with pytest.raises(UserError, match=f"row 1: the response is no text but {text}"):
        squad.correct(QUESTION, text)


def test_a_squad_that_was_closed_can_be_used_again(squad: Squad) -> None:
    for _ in range(2):
        called = asyncio.wait_for(squad.acorrect(QUESTION, RUDE), 60)
        assert asyncio.run(called).text == CORRECTION
        squad.close()


def test_no_call_waits_for_threads_that_have_ended(squad: Squad) -> None:
    batcher = squad.batcher
    squad.close()
    with pytest.raises(RuntimeError, match="closed"):
        batcher.correct(QUESTION, RUDE)


def test_a_call_that_is_cancelled_disturbs_no_other(squad: Squad) -> None:
    async def cancel_one() -> Correction:
        task = asyncio.ensure_future(squad.acorrect(QUESTION, RUDE))
        await asyncio.sleep(0)
        task.cancel()
        return await squad.acorrect(QUESTION, RUDE)

    assert asyncio.run(cancel_one()).text == CORRECTION


# The directory


def edit_record(directory: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change squad.json."""
    record = read_json(directory / "squad.json")
    change(record)
    write_json(directory / "squad.json", record)


def flip_weight(directory: Path) -> None:
    path = directory / "aligners/ethical/model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


DAMAGES: list[tuple[str, Callable[[Path], object]]] = [
    ("squad.json is missing", lambda d: (d / "squad.json").unlink()),
    ("squad.json, line 1: not JSON", lambda d: (d / "squad.json").write_text("{")),
    ("the format is 2, and this version", lambda d: edit_record(d, lambda r: r.update(format=2))),
    ("the format is None", lambda d: edit_record(d, lambda r: r.pop("format"))),
    ("'members'", lambda d: edit_record(d, lambda r: r.update(members=[]))),
    ("'members.0.threshold'", lambda d: edit_record(d, lambda r: r["members"][0].pop("threshold"))),
    ("the system 'team' is unknown", lambda d: edit_record(d, lambda r: r.update(system="team"))),
    (
        "familiar_questions.safetensors: no such file",
        lambda d: (d / "familiar_questions.safetensors").unlink(),
    ),
    ("model.safetensors: its checksum is not", flip_weight),
    (
        "input_format.json: 2 bytes",
        lambda d: (d / "aligners/ethical/input_format.json").write_text("{}"),
    ),
    (
        "'../../etc/passwd' is not in it",
        lambda d: edit_record(
            d, lambda r: r["files"].update({"../../etc/passwd": {"bytes": 1, "sha256": ""}})
        ),
    ),
    (
        "no files of the model 'aligners/other'",
        lambda d: edit_record(d, lambda r: r["members"][0].update(aligner="aligners/other")),
    ),
]


@pytest.mark.parametrize(("message", "damage"), DAMAGES, ids=[name for name, _ in DAMAGES])
def test_a_damaged_squad_is_one_message(
    copy: Path, message: str, damage: Callable[[Path], object]
) -> None:
    damage(copy)
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        Squad.load(copy)
    assert str(copy) in str(caught.value)


def test_a_threshold_in_the_record_is_the_one_that_counts(copy: Path) -> None:
    edit_record(copy, lambda record: record["members"][0].update(threshold=-1000.0))
    assert Squad.load(copy).correct(QUESTION, RUDE).reason == "above_threshold"


@pytest.mark.parametrize(
    "path", ["results/none", "a/b/c", "none", "./x", "docs/use.md", 300 * "x", "zero\0"]
)
def test_a_path_that_is_none_is_one_message(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=re.escape(path)) as caught:
        Squad.load(path)
    assert "directory" in str(caught.value)


def test_a_name_without_its_revision_is_one_message() -> None:
    with pytest.raises(UserError, match="owner/name@: there is no revision"):
        Squad.load("owner/name@")


def test_models_are_links_where_they_can_be(directory: Path) -> None:
    weights = directory / "aligners/ethical/model.safetensors"
    assert (
        weights.stat().st_ino == (directory.parent / "ethical/model" / weights.name).stat().st_ino
    )


@pytest.mark.parametrize("silenced", [False, True])
def test_an_application_sees_warnings_of_a_squad_only(directory: Path, silenced: bool) -> None:
    code = (
        "import logging\n"
        "from aligners import Squad\n"
        f"if {silenced}: logging.getLogger('aligners').addHandler(logging.NullHandler())\n"
        f"squad = Squad.load({str(directory)!r})\n"
        f"squad.correct({QUESTION!r}, {RUDE!r})\n"
        # One that cannot be used, which is logged.
        f"squad.correct({QUESTION!r}, {RUDE * 12!r})\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=600, cwd=ROOT
    )
    warning = "" if silenced else "1 of 1 corrections cannot be used: 1 too_long .*\n"
    assert (result.returncode, result.stdout) == (0, "")
    assert re.fullmatch(warning, result.stderr)


def test_the_correction_as_json(squad: Squad) -> None:
    correction = squad.correct(QUESTION, RUDE)
    fields = json.loads(json.dumps(correction.as_json()))
    assert set(fields) == {"text", "action", "reason", "scores", "trace"}
