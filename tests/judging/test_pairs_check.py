"""The check of a teacher's pairs by a judge."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import check_pairs
import pytest

from aligners.core.errors import UserError
from aligners.core.rows import read_json, row_id, write_rows
from aligners.judging import pairs_check
from aligners.judging.judged_pairs import ShownTexts, Verdict
from aligners.llms.usage import Usage

PAIRS, OUTPUT = Path("pairs.jsonl"), Path("pairs_checked.json")


def write_pairs(count: int, same: int = 0) -> None:
    """Write pairs, of which the last ones have a correction that equals the response."""
    rows = [
        {
            "id": row_id(str(number)),
            "question": f"Is it {number}?",
            "response": "bad",
            # A copy may have other white space.
            "aligned_response": "bad\n" if number >= count - same else "good",
        }
        for number in range(count)
    ]
    write_rows(PAIRS, rows)


@pytest.fixture
def judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[dict[str, Any], list[ShownTexts]]]:
    """Run the program with a judge; return what it wrote, and the texts that the judge saw."""
    monkeypatch.chdir(tmp_path)

    def run(preference: Callable[[ShownTexts], float | None]) -> Any:
        seen: list[ShownTexts] = []

        def judge(shown: list[ShownTexts]) -> dict[ShownTexts, Verdict]:
            seen.extend(shown)
            return {texts: Verdict(preference(texts)) for texts in shown}

        fake = SimpleNamespace(judge=judge, usage=Usage())
        monkeypatch.setattr(check_pairs, "load_judge", lambda *_: fake)
        check_pairs.main(judges=["gpt-4.1"], pairs=PAIRS, seed=0, output=OUTPUT)
        return read_json(OUTPUT), seen

    return run


def test_a_sample_of_the_corrected_pairs_is_judged_in_both_orders(judged: Any) -> None:
    write_pairs(80, same=10)
    found, seen = judged(lambda texts: 0.9 if texts[1] == "good" else 0.2)
    checked = found["judges"]["gpt-4.1"]
    assert found["pairs"] == pairs_check.JUDGED_PAIRS == 50
    assert len(seen) == 100 and len({question for question, *_ in seen}) == 50
    assert {texts[1:] for texts in seen} == {("good", "bad"), ("bad", "good")}
    rate = checked["correction_preferred"]
    assert (rate["value"], rate["n"], checked["ties"], checked["no_verdict"]) == (1.0, 50, 0, 0)
    assert 0.9 < rate["low"] < 1
    assert Path("pairs_checked.gpt-4.1.usage.json").is_file()


def test_ties_and_pairs_without_a_verdict_are_counted(judged: Any) -> None:
    write_pairs(6)
    numbers = {f"Is it {number}?": number for number in range(6)}

    def preference(texts: ShownTexts) -> float | None:
        match numbers[texts[0]]:
            case 0:
                return 0.5
            case 1:
                return None if texts[1] == "good" else 0.1
            case 2:  # always the first text
                return 0.8
            case 3:
                return 0.1 if texts[1] == "good" else 0.9
        return 0.9 if texts[1] == "good" else 0.1

    checked = judged(preference)[0]["judges"]["gpt-4.1"]
    assert checked["correction_preferred"]["value"] == pytest.approx(2 / 5)
    assert (checked["ties"], checked["no_verdict"]) == (2, 1)


@pytest.mark.usefixtures("judged")
@pytest.mark.parametrize(
    ("judges", "same", "part"), [([], 0, "judges"), (["any"], 5, "pairs.jsonl")]
)
def test_without_a_judge_or_a_corrected_pair_there_is_a_message(
    judges: list[str], same: int, part: str
) -> None:
    write_pairs(5, same)
    with pytest.raises(UserError, match=part):
        check_pairs.main(judges=judges, pairs=PAIRS, seed=0, output=OUTPUT)
