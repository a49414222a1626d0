"""The split: a question and its near-duplicates in all criteria are on the same side."""

import itertools
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
import split_questions as program
from similarity import jaccard

from aligners.core.counts import separate
from aligners.core.errors import UserError
from aligners.core.rows import read_json, read_rows, row_id, write_rows
from aligners.synthesis.near_duplicates import shingles
from aligners.synthesis.sides import SPLITS
from aligners.synthesis.split import choose_side, split_questions

SHARES = {"train": 0.7, "validation": 0.15, "test": 0.15}
NEAR = {"shingle": 5, "similarity": 0.7}
CONTEXTS = ["A friend asks.", "We have a bet.", "It is for school.", "I forgot it.", "Help me."]
PLACES = ["Sweden", "Chile", "Kenya", "Nepal", "Cuba", "Egypt", "Peru", "Laos", "Malta", "Oman"]
ASKED = ["Which river crosses {}?", "Who wrote the anthem of {}?", "When was {} founded, please?"]


def question(text: str) -> dict[str, Any]:
    """Return a question row."""
    return {"id": row_id(text), "question": text}


def questions(criterion: str) -> list[dict[str, Any]]:
    """Return questions with near-duplicates in the same criterion and in others."""
    return [
        question(f"{context} {asked.format(place)}{ending}")
        for context, place, asked in itertools.product(CONTEXTS, PLACES, ASKED)
        for ending in ("", f" My {criterion} friend asks.")
        # Each criterion has two thirds of the questions.
        if int(row_id(criterion, context, place, asked, ending), 16) % 3
    ]


def split(directory: Path, criteria: list[str]) -> dict[str, list[dict[str, Any]]]:
    """Run the program for one criterion after another, and return the rows of each."""
    for position, criterion in enumerate(criteria):
        write_rows(directory / f"{criterion}.questions.jsonl", questions(criterion))
        program.main(
            questions=[directory / f"{criterion}.questions.jsonl"],
            earlier=[directory / f"{name}.jsonl" for name in criteria[:position]],
            synthesis="instruct",
            shares=(0.7, 0.15, 0.15),
            output=directory / f"{criterion}.jsonl",
        )
    return {criterion: read_rows(directory / f"{criterion}.jsonl") for criterion in criteria}


CRITERIA = ["ethical", "factuality", "helpful"]


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[Any]]]:
    """The splits of three criteria, and their directory."""
    directory = tmp_path_factory.mktemp("splits")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(Path(__file__).parents[2])
        return directory, split(directory, CRITERIA)


def test_near_duplicates_are_on_the_same_side(splits: tuple[Path, dict[str, list[Any]]]) -> None:
    rows = list({row["id"]: row for rows in splits[1].values() for row in rows}.values())
    pieces = [shingles(row["question"], NEAR["shingle"]) for row in rows]
    near = [
        (rows[first], rows[second])
        for first, second in itertools.combinations(range(len(rows)), 2)
        if jaccard(pieces[first], pieces[second]) >= NEAR["similarity"]
    ]
    assert len(near) > 300
    assert [pair for pair in near if pair[0]["split"] != pair[1]["split"]] == []


def test_every_question_and_every_group_is_on_one_side(
    splits: tuple[Path, dict[str, list[Any]]],
) -> None:
    for key in ("question", "group"):
        sides = defaultdict(set)
        for row in itertools.chain(*splits[1].values()):
            sides[row[key]].add(row["split"])
        assert {len(found) for found in sides.values()} == {1}
    # Some questions are in all three criteria.
    shared = Counter(row["id"] for rows in splits[1].values() for row in rows)
    assert max(shared.values()) == 3


def test_a_new_criterion_at_the_end_does_not_change_the_split_of_the_others(
    splits: tuple[Path, dict[str, list[Any]]], tmp_path: Path, in_the_project: None
) -> None:
    split(tmp_path, [*CRITERIA, "brief"])
    for criterion in CRITERIA:
        for suffix in (".jsonl", ".dropped.jsonl", ".counts.json"):
            name = f"{criterion}{suffix}"
            assert (tmp_path / name).read_bytes() == (splits[0] / name).read_bytes(), name


def test_every_question_is_counted_as_kept_or_dropped(
    splits: tuple[Path, dict[str, list[Any]]],
) -> None:
    for criterion in CRITERIA:
        counts = read_json(splits[0] / f"{criterion}.counts.json")
        assert counts["in"] == len(questions(criterion))
        assert counts["in"] == counts["out"] + sum(counts["dropped"].values())
        dropped = read_rows(splits[0] / f"{criterion}.dropped.jsonl")
        assert len(dropped) == sum(counts["dropped"].values())
    assert counts["dropped"]["near_several_splits"] > 0


def on_side(side: str, start: str) -> dict[str, Any]:
    """Return a question with this start whose hash puts it on a side."""
    for number in itertools.count():
        row = question(f"{start}{number}")
        if choose_side(row["id"], SHARES) == side:
            return row
    raise AssertionError


def test_a_question_with_near_duplicates_on_two_sides_is_dropped() -> None:
    first = on_side("train", "abcdefghijklmnopqrstuvwxyz ")
    second = on_side("test", "abcdefghijklmnopqrs 0123456789 ")
    earlier, _ = separate(split_questions([], [first, second], SHARES, 5, 0.7))
    assert [row["split"] for row in earlier] == ["train", "test"]
    bridge = question("abcdefghijklmnopqrstuvw 0123")
    kept, dropped = separate(split_questions(earlier, [bridge, bridge], SHARES, 5, 0.4))
    assert kept == []
    assert [row["reason"] for row in dropped] == ["near_several_splits"] * 2


def test_a_group_keeps_the_side_of_its_first_question() -> None:
    first = on_side("test", "What is the tallest tower of the old town? Number ")
    later = on_side("train", "What is the tallest tower of the old town? Numbers ")
    earlier, _ = separate(split_questions([], [first], SHARES, **NEAR))
    [(row, _)] = split_questions(earlier, [later], SHARES, **NEAR)
    assert (row["id"], row["group"], row["split"]) == (later["id"], first["id"], "test")
    # A third question that is similar only to the second one joins the same group.
    third = question(later["question"].replace("What is the tall", "Which one is the tall"))
    assert jaccard(*(shingles(item["question"], 5) for item in (first, third))) < 0.7
    [(row, _)] = split_questions([*earlier, row], [third], SHARES, **NEAR)
    assert (row["group"], row["split"]) == (first["id"], "test")


def test_sides_have_their_shares() -> None:
    sides = Counter(choose_side(row_id(str(number)), SHARES) for number in range(4000))
    assert [sides[side] / 4000 for side in SPLITS] == pytest.approx([0.7, 0.15, 0.15], abs=0.02)
    assert choose_side("x", {"train": 0.0, "validation": 0.0, "test": 1.0}) == "test"
    assert choose_side("x", {"train": 1.0, "validation": 0.0, "test": 0.0}) == "train"


def test_a_side_without_a_question_is_an_error(tmp_path: Path, in_the_project: None) -> None:
    rows = [on_side("train", "Who paints "), on_side("validation", "When do cats sleep? ")]
    write_rows(tmp_path / "questions.jsonl", rows)
    with pytest.raises(UserError, match=r"questions\.jsonl.*\btest \(1 train, 1 validation, 0 t"):
        program.main(
            questions=[tmp_path / "questions.jsonl"],
            earlier=[],
            synthesis="instruct",
            shares=(0.7, 0.15, 0.15),
            output=tmp_path / "split.jsonl",
        )
    assert not (tmp_path / "split.jsonl").exists()


def test_by_ending_questions_that_end_in_the_same_sentence_are_on_one_side() -> None:
    rows = [
        question(f"{context} {asked.format(place)}{mark}")
        for context, mark in zip(CONTEXTS, ("", "?", " ", "!", "??"), strict=True)
        for place, asked in itertools.product(PLACES, ASKED)
    ]
    sides = sides_by_ending(rows, by_ending=True)
    assert all(len(found) == 1 for found in sides.values())
    assert {side for found in sides.values() for side in found} == set(SPLITS)
    assert any(len(found) > 1 for found in sides_by_ending(rows, by_ending=False).values())


def sides_by_ending(rows: list[dict[str, Any]], by_ending: bool) -> dict[str, set[str]]:
    """Return the sides of the questions that end in the same sentence."""
    sides = defaultdict(set)
    kept, _ = separate(split_questions([], rows, SHARES, 5, 1.0, by_ending=by_ending))
    for row in kept:
        sides[row["question"].split(". ", 1)[1].rstrip("?! ")].add(row["split"])
    return sides
