"""Training sets: the share of identity rows, the labels, and the counts of all pairs."""

from collections import Counter, defaultdict
from itertools import chain
from pathlib import Path
from typing import Any

import build_aligner_set
import build_inspector_set
import pytest

from aligners.core.errors import UserError
from aligners.core.rows import by_id, read_json, read_rows, row_id, write_rows
from aligners.synthesis.training_sets import (
    PairPlace,
    aligner_row,
    inspector_rows,
    is_identity,
    plan_aligner_rows,
    sample,
)


def pairs(corrections: int, identities: int) -> list[dict[str, Any]]:
    """Return `corrections` pairs with another correction, then `identities` with an equal one."""
    rows = []
    for number in range(corrections + identities):
        question = f"What is {number}?"
        response = f"It is {number}."
        correction = response if number >= corrections else f"It is {number}, they say."
        rows.append(
            {
                "id": row_id(question),
                "criterion": "helpful",
                "question": question,
                "response": response,
                "critique": "c",
                "aligned_response": correction,
                "similarity": 1.0 if number >= corrections else 0.5,
            }
        )
    return rows


# Aligner rows


def with_identity_share(
    rows: list[dict[str, Any]], share: float, seed: int
) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the aligner rows of some pairs, and the reasons of the dropped ones."""
    places = [PairPlace(row["id"], place, is_identity(row)) for place, row in enumerate(rows)]
    planned = list(plan_aligner_rows(places, share, None, seed))
    kept = [aligner_row(rows[plan.pair.place], plan) for plan, reason in planned if reason is None]
    return kept, [reason for _, reason in planned if reason is not None]


@pytest.mark.parametrize("share", [0.0, 0.2, 0.35, 0.5])
@pytest.mark.parametrize("identities", [0, 7, 13, 200], ids="{} identities".format)
@pytest.mark.parametrize("corrections", [0, 1, 3, 53])
def test_the_share_of_identity_rows_is_exact_to_one_row(
    share: float, identities: int, corrections: int
) -> None:
    rows, reasons = with_identity_share(pairs(corrections, identities), share, seed=0)
    kept = sum(row["identity"] for row in rows)
    assert abs(kept - share * len(rows)) <= 1
    assert len(rows) - kept == corrections
    # Every identity pair is a row or is counted. Corrections serve only if these are too few.
    assert set(reasons) <= {"identity_surplus"}
    assert max(kept, identities) == kept + len(reasons)


def test_only_identity_rows_have_a_correction_that_equals_the_response() -> None:
    kept, _ = with_identity_share(pairs(40, 4), 0.2, seed=0)
    assert Counter(row["identity"] for row in kept) == {False: 40, True: 10}
    assert len({row["id"] for row in kept}) == len(kept)
    for row in kept:
        assert set(row) == {"id", "question", "response", "aligned_response", "identity"}
        assert row["identity"] == (row["response"] == row["aligned_response"])
    # The identity rows are all four identity pairs and six corrections.
    unchanged = [row["response"] for row in kept if row["identity"]]
    assert sum("they say" in text for text in unchanged) == 6


def test_the_seed_decides_which_identity_rows_are_kept() -> None:
    in_order = pairs(10, 100)
    chosen = [
        {row["id"] for row in with_identity_share(rows, 0.2, seed)[0] if row["identity"]}
        for rows, seed in ((in_order, 0), (in_order[::-1], 0), (in_order, 1))
    ]
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_pair_that_differs_only_in_space_is_an_identity_pair() -> None:
    row = {"response": "It is  so.\n", "aligned_response": "It is so."}
    assert is_identity(row)
    assert not is_identity({**row, "aligned_response": "It is So."})


# Inspector rows


def test_the_response_has_label_0_and_the_correction_label_1() -> None:
    [pair] = pairs(1, 0)
    misaligned, aligned = inspector_rows(pair)
    assert (misaligned["response"], misaligned["label"]) == (pair["response"], 0)
    assert (aligned["response"], aligned["label"]) == (pair["aligned_response"], 1)
    assert misaligned["id"] != aligned["id"]
    for row in (misaligned, aligned):
        assert (row["question"], row["question_id"]) == (pair["question"], pair["id"])


def test_the_response_of_an_identity_pair_has_label_1() -> None:
    [pair] = pairs(0, 1)
    [row] = inspector_rows(pair)
    assert (row["response"], row["label"]) == (pair["response"], 1)


def test_a_sample_and_its_rest_are_all_rows_and_depend_on_the_seed() -> None:
    rows = pairs(50, 0)
    chosen, others = sample(rows, 20, seed=0)
    assert (len(chosen), len(others)) == (20, 30)
    assert by_id([*chosen, *others]) == by_id(rows)
    assert by_id(sample(rows[::-1], 20, seed=0)[0]) == by_id(chosen)
    assert by_id(sample(rows, 20, seed=1)[0]) != by_id(chosen)
    assert sample(rows, None, seed=0) == sample(rows, 50, seed=0) == (rows, [])


# The programs

SIDES = {"train": range(0, 70), "validation": range(70, 85), "test": range(85, 100)}


@pytest.fixture
def written(tmp_path: Path) -> tuple[Path, list[dict[str, Any]]]:
    """Write 100 pairs, of which every tenth is an identity pair, and their split."""
    rows = pairs(90, 10)
    rows = [rows[(number * 7) % 100] for number in range(100)]
    write_rows(tmp_path / "pairs.jsonl", rows)
    write_rows(
        tmp_path / "split.jsonl",
        [{"id": rows[n]["id"], "split": side} for side, numbers in SIDES.items() for n in numbers],
    )
    return tmp_path, rows


def read_sides(directory: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each side."""
    return {side: read_rows(directory / f"{side}.jsonl") for side in SIDES}


def outputs(directory: Path) -> dict[str, Path]:
    """Return the output options of both programs."""
    paths = {side: directory / f"{side}.jsonl" for side in SIDES}
    return {
        **paths,
        "counts": directory / "counts.json",
        "dropped": directory / "dropped.jsonl",
    }


@pytest.mark.parametrize(("share", "limit"), [(0.2, 1000), (0.05, 1000), (0.2, 30)])
def test_an_aligner_set_has_every_pair_on_its_side_or_dropped(
    written: tuple[Path, list[dict[str, Any]]], share: float, limit: int
) -> None:
    directory, rows = written
    build_aligner_set.main(
        pairs=directory / "pairs.jsonl",
        split=directory / "split.jsonl",
        identity_share=share,
        rows=limit,
        least_similarity="{}",
        seed=0,
        **outputs(directory),
    )
    counts, dropped = read_json(directory / "counts.json"), read_rows(directory / "dropped.jsonl")
    sides = read_sides(directory)
    assert counts["in"] == counts["out"] + sum(counts["dropped"].values())
    assert counts["out"] == sum(map(len, sides.values()))
    assert Counter(row["reason"] for row in dropped) == counts["dropped"]
    for side, numbers in SIDES.items():
        side_questions = {rows[number]["question"] for number in numbers}
        assert {row["question"] for row in sides[side]} <= side_questions
        if limit == 1000:
            identities = sum(row["identity"] for row in sides[side])
            assert abs(identities - share * len(sides[side])) <= 1
    all_rows = [*dropped, *chain.from_iterable(sides.values())]
    assert len({row["id"] for row in all_rows}) == len(all_rows)
    assert {row["question"] for row in all_rows} == {row["question"] for row in rows}
    if limit == 30:
        assert len(sides["train"]) == 30
        assert counts["dropped"]["over_limit"] > 0


@pytest.mark.parametrize("limit", [1000, 40])
def test_an_inspector_set_has_every_pair_on_its_side_or_dropped(
    written: tuple[Path, list[dict[str, Any]]], in_the_project: None, limit: int
) -> None:
    directory, rows = written
    identity = {row["id"] for row in rows if is_identity(row)}
    copies = [row["id"] for row in rows if row["id"] not in identity][:9]
    scored = [{**row, "similarity": 0.99} if row["id"] in copies else row for row in rows]
    write_rows(directory / "similarity.jsonl", scored)
    build_inspector_set.main(
        criterion="helpful",
        similarity=directory / "similarity.jsonl",
        split=directory / "split.jsonl",
        pairs=limit,
        seed=0,
        **outputs(directory),
    )
    counts, sides = read_json(directory / "counts.json"), read_sides(directory)
    dropped = {"near_copy": 9} | ({"over_limit": 51} if limit == 40 else {})
    assert counts == {"in": 100, "out": min(91, limit), "dropped": dropped}
    assert len(read_rows(directory / "dropped.jsonl")) == sum(dropped.values())
    labels: dict[str, list[int]] = defaultdict(list)
    for side, numbers in SIDES.items():
        assert {row["question"] for row in sides[side]} <= {rows[n]["question"] for n in numbers}
        for row in sides[side]:
            labels[row["question_id"]].append(row["label"])
    assert len(labels) == counts["out"]
    for question, found in labels.items():
        assert found == ([1] if question in identity else [0, 1])


@pytest.mark.parametrize("side", ["train", "validation", "test"])
def test_a_side_without_a_pair_is_an_error(
    written: tuple[Path, list[dict[str, Any]]], in_the_project: None, side: str
) -> None:
    directory, rows = written
    kept = [rows[number] for name in SIDES if name != side for number in SIDES[name]]
    write_rows(directory / "pairs.jsonl", kept)
    common = {"split": directory / "split.jsonl", "seed": 0, **outputs(directory)}
    pairs_file = directory / "pairs.jsonl"
    with pytest.raises(UserError, match=rf"{side}\.jsonl"):
        build_aligner_set.main(
            pairs=pairs_file, identity_share=0.2, rows=1000, least_similarity="{}", **common
        )
    with pytest.raises(UserError, match=rf"{side}\.jsonl"):
        build_inspector_set.main(criterion="helpful", similarity=pairs_file, pairs=1000, **common)


def test_a_pair_that_is_on_no_side_is_an_error(
    written: tuple[Path, list[dict[str, Any]]], in_the_project: None
) -> None:
    directory, rows = written
    split = read_rows(directory / "split.jsonl")
    write_rows(directory / "split.jsonl", [row for row in split if row["id"] != rows[5]["id"]])
    with pytest.raises(UserError, match=rf"split\.jsonl.*{rows[5]['id']}"):
        build_aligner_set.main(
            pairs=directory / "pairs.jsonl",
            split=directory / "split.jsonl",
            identity_share=0.2,
            rows=1000,
            least_similarity="{}",
            seed=0,
            **outputs(directory),
        )
