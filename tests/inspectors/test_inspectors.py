"""Inspectors: calibration, training, loading and scoring."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recipes import changed
from tiny_inspector import OWN, RECIPE, rows, train
from unigram import make_unigram_tokenizer

from aligners.configuration.kinds.training import FromScratch
from aligners.core.errors import UserError
from aligners.inspectors.calibration import (
    aligned_probability,
    expected_calibration_error,
    fit_temperature,
)
from aligners.inspectors.inspector import Inspector, batches, encode_pairs
from aligners.models.from_scratch import make_classifier, train_wordpiece_tokenizer
from aligners.training.trainer import BatchTrainer

TEST_ROWS = rows(40, 200)


@dataclass
class Trained:
    """A trained inspector: its metrics, the scores of its test rows, and its directory."""

    metrics: dict[str, Any]
    scores: list[dict[str, Any]]
    directory: Path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    directory = tmp_path_factory.mktemp("inspector")
    metrics, scores = train(RECIPE, directory, rows(160), rows(40, 160), TEST_ROWS)
    return Trained(metrics, scores, directory / "model")


@pytest.fixture(scope="module")
def inspector(trained: Trained) -> Inspector:
    return Inspector.from_directory(trained.directory)


def score_rows(inspector: Inspector, rows: list[dict[str, Any]]) -> list[float]:
    """Return the scores of the rows' responses."""
    return inspector.score([row["question"] for row in rows], [row["response"] for row in rows])


def test_the_metrics_are_those_of_the_test_rows(trained: Trained) -> None:
    metrics = trained.metrics
    assert metrics["n"] == sum(metrics["confusion"].values()) == 40
    assert metrics["accuracy"] >= 0.95 and metrics["roc_auc"] >= 0.95
    assert 0 <= metrics["ece"] <= 0.1
    assert metrics["train_rows"] == 160 and metrics["temperature"] > 0


def test_a_loaded_inspector_has_the_metrics_of_its_training(
    trained: Trained, inspector: Inspector
) -> None:
    assert inspector.temperature == trained.metrics["temperature"]
    scores = np.array(score_rows(inspector, TEST_ROWS))
    labels = np.array([row["label"] for row in TEST_ROWS])
    assert np.mean((scores >= 0.5) == labels) == trained.metrics["accuracy"]
    error = expected_calibration_error(scores, labels)
    assert error == pytest.approx(trained.metrics["ece"], abs=1e-4)


def test_training_returns_the_scores_of_the_test_rows_in_order(
    trained: Trained, inspector: Inspector
) -> None:
    """Rows are scored in order of length, but returned in their own order."""
    for scored, row in zip(trained.scores, TEST_ROWS, strict=True):
        assert (scored["id"], scored["label"]) == (row["id"], row["label"])
    again = score_rows(inspector, TEST_ROWS)
    assert [row["score"] for row in trained.scores] == pytest.approx(again, abs=1e-4)


def test_a_score_does_not_depend_on_other_rows(trained: Trained, inspector: Inspector) -> None:
    one_by_one = Inspector.from_directory(trained.directory)
    one_by_one.batch_tokens = 1
    together = score_rows(inspector, rows(20, 300))
    assert score_rows(one_by_one, rows(20, 300)) == pytest.approx(together, abs=1e-5)
    assert one_by_one.score([], []) == []


def test_equal_pairs_are_scored_once(inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[int] = []
    score_unique = inspector.score_unique

    def count_pairs(pairs: Sequence[tuple[str, str]]) -> list[float]:
        counts.append(len(pairs))
        return score_unique(pairs)

    monkeypatch.setattr(inspector, "score_unique", count_pairs)
    scores = inspector.score(["q", "q", "r"] * 5, ["a", "b", "a"] * 5)
    assert counts == [3] and scores == scores[:3] * 5


def test_a_long_pair_is_truncated_and_keeps_its_separators(inspector: Inspector) -> None:
    tokenizer = inspector.tokenizer
    pairs = encode_pairs(tokenizer, ["Who [SEP] is it?", "Who?"], ["it is 3. " * 50, "me"], 48)
    assert [pair.truncated for pair in pairs] == [True, False]
    ids = pairs[0].inputs["input_ids"]
    assert len(ids) == 48
    assert ids.count(tokenizer.sep_token_id) == 2 and ids[-1] == tokenizer.sep_token_id
    assert 0 < inspector.score(["Who?"], ["word " * 5000])[0] < 1


def test_a_separator_in_a_users_text_is_plain_text_for_every_tokenizer() -> None:
    texts = ["What does </s> mean?", "It is a tag: <s> and </s>. "]
    tokenizer = make_unigram_tokenizer(texts * 20)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    for limit in (500, 12):
        [pair] = encode_pairs(tokenizer, texts[:1], texts[1:], limit)
        found = [token for token in pair.inputs["input_ids"] if token in special]
        assert found == tokenizer.convert_tokens_to_ids(["<s>", "</s>", "</s>"])


def test_batches_have_every_row_once_and_keep_the_limit_of_tokens() -> None:
    lengths = [5, 90, 7, 8, 30, 200, 6]
    found = list(batches(lengths, 100))
    assert sorted(index for batch in found for index in batch) == list(range(7))
    assert max(len(batch) for batch in found) > 1
    for batch in found:
        assert len(batch) == 1 or len(batch) * max(lengths[index] for index in batch) <= 100


def test_calibration_corrects_overconfident_logits() -> None:
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


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    scores, labels = np.array([0.9, 0.9, 0.1, 0.1]), np.array([1, 0, 0, 0])
    assert expected_calibration_error(scores, labels) == pytest.approx(0.15)
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([1, 0])) == 0


def test_a_set_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\btest rows"):
        train(RECIPE, tmp_path, rows(4), rows(4), [])


def test_a_logit_that_is_not_finite_stops_before_calibration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = BatchTrainer.predict

    def broken(self: BatchTrainer, *args: Any, **kwargs: Any) -> Any:
        output: Any = predict(self, *args, **kwargs)
        output.predictions[-1, 0] = np.nan  # of the longest row
        return output

    monkeypatch.setattr(BatchTrainer, "predict", broken)
    with pytest.raises(UserError, match=r"inspector of ethical: .*row 23 .*nan.*dtype"):
        train(changed(RECIPE, epochs=1), tmp_path, rows(16), rows(8, 16), rows(8, 24))


def test_a_classifier_without_calibration_is_an_error(tmp_path: Path) -> None:
    texts = [row["response"] for row in rows(20)]
    shape = FromScratch.model_validate(OWN["from_scratch"])
    make_classifier(shape, texts, tmp_path / "model", seed=0)
    with pytest.raises(UserError, match=r"model: .*config\.json"):
        Inspector.from_directory(tmp_path / "model")


def test_a_model_type_that_transformers_does_not_have_is_an_error(tmp_path: Path) -> None:
    shape = {**OWN["from_scratch"], "model_type": "no_such_type"}
    with pytest.raises(UserError, match="no_such_type"):
        train(changed(RECIPE, from_scratch=shape), tmp_path, rows(20), rows(4), rows(4))


def test_training_a_vocabulary_again_gives_the_same_one() -> None:
    texts = [f"{row['question']} {row['response']}" for row in rows(160)]
    first, *others = [train_wordpiece_tokenizer(texts, 300).get_vocab() for _ in range(4)]
    assert others == [first] * 3
    assert {"[UNK]", "##e"} < set(first) and "##" not in first
