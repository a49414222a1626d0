"""Inspectors: calibration, training, loading and scoring."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from recipes import changed
from tiny_inspector import OWN, RECIPE, rows, train
from unigram import make_unigram_tokenizer

from aligners.configuration.kinds.training import FromScratch
from aligners.core.errors import UserError
from aligners.inspectors.calibration import expected_calibration_error
from aligners.inspectors.encoding import encode_pairs, encode_windows
from aligners.inspectors.inspector import LOG_ODDS_OF_EMPTY, Inspector, batches
from aligners.inspectors.scorer import Scorer
from aligners.inspectors.train import halves
from aligners.models.from_scratch import make_classifier, train_wordpiece_tokenizer
from aligners.models.special_tokens import plain_ids
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


def score_rows(inspector: Inspector, rows: list[dict[str, Any]]) -> list[float | None]:
    """Return the scores of the rows' responses."""
    return inspector.score([row["question"] for row in rows], [row["response"] for row in rows])


def test_the_metrics_are_those_of_the_test_rows(trained: Trained) -> None:
    metrics = trained.metrics
    assert metrics["n"] == sum(metrics["confusion"].values()) == 40
    assert metrics["accuracy"] >= 0.95 and metrics["roc_auc"] >= 0.95
    assert 0 <= metrics["ece"] <= 0.1 and 0 <= metrics["brier"] <= 0.05
    assert metrics["train_rows"] == 160 and 0.1 <= metrics["temperature"] <= 10
    assert (metrics["validation_rows"], metrics["calibration_rows"]) == (20, 20)
    assert metrics["unscored"] == 0
    for name in ("ece", "brier", "ece_aligned", "ece_misaligned"):
        assert 0 <= metrics[f"{name}_uncalibrated"] <= 1


def test_a_loaded_inspector_has_the_metrics_of_its_training(
    trained: Trained, inspector: Inspector
) -> None:
    metrics = trained.metrics
    assert inspector.temperature == metrics["temperature"]
    assert inspector.threshold == metrics["threshold_log_odds"]
    assert 1 / (1 + np.exp(-inspector.threshold)) == pytest.approx(metrics["threshold"])
    scores = np.array(score_rows(inspector, TEST_ROWS))
    labels = np.array([row["label"] for row in TEST_ROWS])
    assert np.mean((scores >= metrics["threshold"]) == labels) == metrics["accuracy"]
    error = expected_calibration_error(scores, labels)
    assert error == pytest.approx(metrics["ece"], abs=1e-4)
    assert np.mean((scores - labels) ** 2) == pytest.approx(metrics["brier"], abs=1e-4)


def test_a_score_is_the_logistic_function_of_the_log_odds(inspector: Inspector) -> None:
    questions, responses = [r["question"] for r in TEST_ROWS], [r["response"] for r in TEST_ROWS]
    log_odds = np.array(inspector.log_odds(questions, responses))
    assert score_rows(inspector, TEST_ROWS) == pytest.approx(1 / (1 + np.exp(-log_odds)))
    assert [row["label"] for row in TEST_ROWS] == (log_odds >= inspector.threshold).tolist()


def test_an_empty_response_is_never_aligned(inspector: Inspector) -> None:
    texts = ["", " \n", "...", "Yes.", "👍"]
    values = inspector.log_odds(["Is it so?"] * len(texts), texts)
    assert values[:3] == [LOG_ODDS_OF_EMPTY] * 3
    assert all(value is not None and value > LOG_ODDS_OF_EMPTY for value in values[3:])
    assert inspector.score(["Is it so?"], [""])[0] == pytest.approx(0, abs=1e-8)


def test_log_odds_do_not_saturate(inspector: Inspector, monkeypatch: pytest.MonkeyPatch) -> None:
    def confident(inputs: list[Any]) -> Any:
        return np.array([[-3000.0, 2000.0 + len(inputs[0]["input_ids"])]] * len(inputs))

    monkeypatch.setattr(inspector, "logits", confident)
    monkeypatch.setattr(inspector, "batch_tokens", 1)
    short, long = inspector.log_odds(["Who?"] * 2, ["me", "me and you"])
    assert 0 < short < long
    assert inspector.score(["Who?"], ["me"]) == [1.0]


def test_threads_share_an_inspector(inspector: Inspector) -> None:
    long = "very " * inspector.max_tokens
    texts = [f"{long * (number % 2)}kind {number}" for number in range(200)]
    expected = [inspector.score(["Who?"], [text]) for text in texts]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda text: inspector.score(["Who?"], [text]), texts))
    finally:
        sys.setswitchinterval(interval)
    assert found == expected


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
    of_unique = inspector.log_odds_of_unique

    def count_pairs(pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        counts.append(len(pairs))
        return of_unique(pairs)

    monkeypatch.setattr(inspector, "log_odds_of_unique", count_pairs)
    scores = inspector.score(["q", "q", "r"] * 5, ["a", "b", "a"] * 5)
    assert counts == [3] and scores == scores[:3] * 5


def test_a_long_pair_is_truncated_and_keeps_its_separators(inspector: Inspector) -> None:
    tokenizer = inspector.tokenizer
    pairs = encode_pairs(tokenizer, ["Who [SEP] is it?", "Who?"], ["it is 3. " * 50, "me"], 48)
    assert [pair.truncated for pair in pairs] == [True, False]
    ids = pairs[0].inputs["input_ids"]
    assert len(ids) == 48
    assert ids.count(tokenizer.sep_token_id) == 2 and ids[-1] == tokenizer.sep_token_id


# Windows of long responses


def test_windows_overlap_by_half_and_cover_a_long_response(inspector: Inspector) -> None:
    tokenizer = inspector.tokenizer
    question, response = "Who [SEP] is it?", " ".join(str(number) for number in range(200))
    whole, windows = encode_windows(tokenizer, ["Who?", question], ["me", response], 48)
    assert len(whole) == 1 and len(windows) > 5
    assert {len(window["input_ids"]) for window in windows[:-1]} == {48}
    start = 2 + windows[0]["input_ids"][1:].index(tokenizer.sep_token_id)
    assert len({tuple(window["input_ids"][:start]) for window in windows}) == 1  # the question
    parts = [window["input_ids"][start:-1] for window in windows]
    overlap = len(parts[0]) // 2
    together = parts[0] + [token for part in parts[1:] for token in part[overlap:]]
    assert together == plain_ids(tokenizer, response)


@pytest.mark.parametrize("place", [0, 20, 39])
def test_the_lowest_window_of_a_long_response_counts(inspector: Inspector, place: int) -> None:
    sentences = ["gladly, it is 3."] * 40
    [kind] = inspector.log_odds(["Can you tell me about number 4?"], [" ".join(sentences)])
    sentences[place] = "go away, silly you, never ask, it is 3."
    [rude] = inspector.log_odds(["Can you tell me about number 4?"], [" ".join(sentences)])
    assert kind is not None and rude is not None
    assert kind >= inspector.threshold > rude


def test_calibration_and_test_rows_get_their_lowest_window_too(inspector: Inspector) -> None:
    class Sums:
        """A trainer whose logit of class 1 is the sum of the tokens."""

        def predict(self, dataset: Any) -> Any:
            sums = [sum(dataset[index]["input_ids"]) for index in range(len(dataset))]
            return SimpleNamespace(predictions=np.array([[0, total] for total in sums]))

    made = rows(6)
    for row in made[::2]:
        row["response"] = " ".join(f"gladly, it is {number}." for number in range(60))
    questions, responses = ([row[key] for row in made] for key in ("question", "response"))
    windows = encode_windows(inspector.tokenizer, questions, responses, 48)
    trainer: Any = Sums()
    scored = Scorer("ethical", trainer, inspector.tokenizer, 48).score(made)
    lowest = [min(sum(inputs["input_ids"]) for inputs in of_row) for of_row in windows]
    assert max(len(of_row) for of_row in windows) > 2
    assert scored.log_odds.tolist() == lowest
    assert scored.labels.tolist() == [0, 1] * 3


def test_a_question_of_more_than_half_of_the_tokens_leaves_no_room(inspector: Inspector) -> None:
    half = " ".join(["a"] * (inspector.max_tokens // 2))
    questions = [half, f"{half} a", f"{half} a", "a " * 5000]
    values = inspector.log_odds(questions, ["a " * 100, "a " * 100, "a", ""])
    assert [value is None for value in values] == [False, True, False, True]
    scores = inspector.score(questions, ["a " * 100, "a " * 100, "a", ""])
    assert [score is None for score in scores] == [False, True, False, True]


def test_rows_without_room_are_left_out_and_counted(tmp_path: Path) -> None:
    long = {**rows(1, 99)[0], "id": "long", "question": "number " * 60}
    metrics, scores = train(
        changed(RECIPE, epochs=1), tmp_path, rows(16), rows(8, 16), [*rows(8, 24), long]
    )
    assert (metrics["n"], metrics["unscored"], len(scores)) == (8, 1, 8)


# Texts and batches


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


def test_a_batch_ends_before_its_padding_is_too_long() -> None:
    lengths = [10, 4, 4, 9, 10, 3]
    assert list(batches(lengths, 1000, most_padding=7)) == [[0, 4, 3, 1], [2, 5]]
    assert list(batches(lengths, 1000)) == [[0, 4, 3, 1, 2, 5]]
    assert list(batches([], 1000)) == []


def test_the_halves_of_the_validation_rows_share_no_question() -> None:
    made = rows(42)
    selecting, calibrating = halves(made[::-1])
    questions = [{row["question_id"] for row in half} for half in (selecting, calibrating)]
    assert not questions[0] & questions[1]
    assert [len(half) for half in questions] == [11, 10]
    assert len(selecting) + len(calibrating) == 42
    ids = [{row["id"] for row in half} for half in halves(made)]
    assert ids == [{row["id"] for row in half} for half in (selecting, calibrating)]


def test_a_set_without_rows_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\btest rows"):
        train(RECIPE, tmp_path, rows(4), rows(4), [])


def test_validation_rows_of_one_question_are_too_few(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"validation rows of one question.*questions_per_criterion"
    ):
        train(RECIPE, tmp_path, rows(4), rows(2), rows(4))


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
