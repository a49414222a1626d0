"""Inspectors: calibration, training, loading and scoring."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_inspector import RECIPE, rows, train

from aligners.core.errors import UserError
from aligners.inspectors.calibration import (
    aligned_probability,
    expected_calibration_error,
    fit_temperature,
)
from aligners.inspectors.inspector import Inspector, batches, encode_pairs
from aligners.models.from_scratch import train_wordpiece_tokenizer


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[dict[str, Any], list[dict[str, Any]], Path]:
    directory = tmp_path_factory.mktemp("inspector")
    result = train(RECIPE, directory, rows(160), rows(40, 160), rows(40, 200))
    return *result, directory / "model"


@pytest.fixture(scope="module")
def trained(finished: tuple[dict[str, Any], Any, Path]) -> tuple[dict[str, Any], Path]:
    metrics, _, directory = finished
    return metrics, directory


def test_metrics_are_those_of_the_test_rows(trained: tuple[dict[str, Any], Path]) -> None:
    metrics, _ = trained
    assert metrics["n"] == sum(metrics["confusion"].values()) == 40
    assert metrics["accuracy"] >= 0.95 and metrics["roc_auc"] >= 0.95
    assert 0 <= metrics["ece"] <= 0.1
    assert metrics["train_rows"] == 160 and metrics["temperature"] > 0


def test_a_loaded_inspector_scores_as_the_trained_one(
    trained: tuple[dict[str, Any], Path],
) -> None:
    metrics, directory = trained
    inspector = Inspector.from_directory(directory)
    assert inspector.temperature == metrics["temperature"]
    test = rows(40, 200)
    scores = inspector.score([r["question"] for r in test], [r["response"] for r in test])
    predicted = [score >= 0.5 for score in scores]
    accuracy = np.mean([p == bool(r["label"]) for p, r in zip(predicted, test, strict=True)])
    assert accuracy == metrics["accuracy"]
    ece = expected_calibration_error(np.array(scores), np.array([r["label"] for r in test]))
    assert ece == pytest.approx(metrics["ece"], abs=1e-4)


def test_scores_of_test_rows_stand_beside_their_ids(
    finished: tuple[Any, list[dict[str, Any]], Path],
) -> None:
    """Computed in order of length, kept in the order of the rows."""
    _, scores, directory = finished
    test = rows(40, 200)
    assert [(row["id"], row["label"]) for row in scores] == [(r["id"], r["label"]) for r in test]
    again = Inspector.from_directory(directory).score(
        [row["question"] for row in test], [row["response"] for row in test]
    )
    assert [row["score"] for row in scores] == pytest.approx(again, abs=1e-4)


def test_a_score_does_not_depend_on_the_neighbours(trained: tuple[dict[str, Any], Path]) -> None:
    _, directory = trained
    test = rows(20, 300)
    questions, responses = [r["question"] for r in test], [r["response"] for r in test]
    together = Inspector.from_directory(directory).score(questions, responses)
    one_by_one = Inspector.from_directory(directory)
    one_by_one.batch_tokens = 1
    assert one_by_one.score(questions, responses) == pytest.approx(together, abs=1e-5)
    assert one_by_one.score([], []) == []


def test_equal_pairs_are_computed_once(
    trained: tuple[dict[str, Any], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    inspector = Inspector.from_directory(trained[1])
    seen: list[int] = []
    compute = inspector.score_unique
    monkeypatch.setattr(
        inspector, "score_unique", lambda pairs: seen.append(len(pairs)) or compute(pairs)
    )
    scores = inspector.score(["q", "q", "r"] * 5, ["a", "b", "a"] * 5)
    assert seen == [3] and scores == scores[:3] * 5


def test_a_long_pair_is_cut_and_keeps_its_separators(
    trained: tuple[dict[str, Any], Path],
) -> None:
    inspector = Inspector.from_directory(trained[1])
    tokenizer = inspector.tokenizer
    pairs = encode_pairs(tokenizer, ["Who [SEP] is it?", "Who?"], ["it is 3. " * 50, "me"], 48)
    assert [pair.truncated for pair in pairs] == [True, False]
    ids = pairs[0].inputs["input_ids"]
    assert len(ids) == 48
    assert ids.count(tokenizer.sep_token_id) == 2 and ids[-1] == tokenizer.sep_token_id
    assert 0 < inspector.score(["Who?"], ["word " * 5000])[0] < 1


def test_batches_hold_every_row_within_the_budget() -> None:
    lengths = [5, 90, 7, 8, 30, 200, 6]
    found = list(batches(lengths, 100))
    assert sorted(index for batch in found for index in batch) == list(range(7))
    assert all(
        len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= 100 for batch in found
    )


def test_calibration_mends_overconfident_logits() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(size=4000)
    labels = (rng.random(4000) < 1 / (1 + np.exp(-truth))).astype(int)
    logits = np.stack([np.zeros(4000), 4 * truth], axis=1)
    temperature = fit_temperature(logits[:2000], labels[:2000])
    assert temperature == pytest.approx(4, rel=0.2)
    before, after = (
        expected_calibration_error(aligned_probability(logits[2000:], t), labels[2000:])
        for t in (1.0, temperature)
    )
    assert after < 0.04 < before


def test_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    scores, labels = np.array([0.9, 0.9, 0.1, 0.1]), np.array([1, 0, 0, 0])
    assert expected_calibration_error(scores, labels) == pytest.approx(0.15)
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([1, 0])) == 0


def test_a_set_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no test rows"):
        train(RECIPE, tmp_path, rows(4), rows(4), [])


def test_another_models_directory_is_refused(tmp_path: Path) -> None:
    from aligners.models.from_scratch import make_classifier

    texts = [row["response"] for row in rows(20)]
    make_classifier(RECIPE["from_scratch"], texts, tmp_path / "model", seed=0)
    with pytest.raises(UserError, match="not an inspector's directory"):
        Inspector.from_directory(tmp_path / "model")


def test_a_shape_that_transformers_does_not_know_is_an_error(tmp_path: Path) -> None:
    shape = {**RECIPE["from_scratch"], "model_type": "no_such_type"}
    with pytest.raises(UserError, match="no_such_type"):
        train({**RECIPE, "from_scratch": shape}, tmp_path, rows(20), rows(4), rows(4))


def test_a_vocabulary_is_the_same_each_time_it_is_trained() -> None:
    texts = [f"{row['question']} {row['response']}" for row in rows(160)]
    vocabularies = [train_wordpiece_tokenizer(texts, 300).get_vocab() for _ in range(4)]
    assert all(vocabulary == vocabularies[0] for vocabulary in vocabularies)
    assert {"[UNK]", "##e"} < set(vocabularies[0]) and "##" not in vocabularies[0]
