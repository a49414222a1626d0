"""Familiar questions: near a training question, by sentence embeddings."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import embed_questions
import numpy as np
import pytest
from numpy.typing import NDArray

from aligners.core.errors import UserError
from aligners.core.rows import write_rows
from aligners.synthesis import familiarity
from aligners.synthesis.familiarity import FamiliarQuestions


def embed(texts: Sequence[str]) -> NDArray[np.floating]:
    """Return a direction in the plane for each text, which names it in degrees."""
    angles = np.radians([float(text) for text in texts])
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


TRAIN = ["0", "90", "0"]
VALIDATION = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "30"]


def test_the_share_of_validation_questions_sets_how_far_a_familiar_question_may_be() -> None:
    nine = FamiliarQuestions.fit(embed, TRAIN, VALIDATION, 0.9, seed=0)
    assert nine.bound == pytest.approx(1 - np.cos(np.radians(9)))
    assert nine.familiar(embed, ["8", "12", "84", "180", "0"]) == [True, False, True, False, True]
    everyone = FamiliarQuestions.fit(embed, TRAIN, VALIDATION, 1.0, seed=0)
    assert everyone.familiar(embed, ["29", "31"]) == [True, False]
    assert everyone.familiar(embed, []) == []


def test_blocks_of_questions_are_compared_as_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    familiar = FamiliarQuestions.fit(embed, TRAIN, VALIDATION, 0.9, seed=0)
    questions = [str(angle) for angle in range(0, 120, 7)]
    whole = familiar.familiar(embed, questions)
    monkeypatch.setattr(familiarity, "BLOCK", 4)
    assert familiar.familiar(embed, questions) == whole


def test_a_sample_of_the_training_questions_is_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(familiarity, "MAX_QUESTIONS", 10)
    train = [str(angle) for angle in range(90)]
    samples = [FamiliarQuestions.fit(embed, train, ["1"], 1.0, seed).embeddings for seed in (0, 1)]
    assert [len(sample) for sample in samples] == [10, 10]
    assert not np.array_equal(*samples)


def test_the_program_reads_the_training_and_validation_questions_of_all_splits(
    in_the_project: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sides: dict[str, list[tuple[str, str]]] = {
        "a": [("0", "train"), ("9", "validation"), ("200", "test")],
        "b": [("90", "train"), ("95", "validation")],
    }
    for name, rows in sides.items():
        split: list[dict[str, Any]] = [
            {"id": text, "question": text, "split": side} for text, side in rows
        ]
        write_rows(tmp_path / f"{name}.jsonl", split)
    monkeypatch.setattr(embed_questions, "embedder", lambda _: embed)
    embed_questions.main(
        splits=[tmp_path / "a.jsonl", tmp_path / "b.jsonl"],
        encoder="all-minilm-l6-v2",
        familiar_share=1.0,
        seed=0,
        output=tmp_path / "familiar.safetensors",
    )
    familiar = FamiliarQuestions.load(tmp_path / "familiar.safetensors")
    assert familiar.familiar(embed, ["8", "98", "200"]) == [True, True, False]


@pytest.mark.parametrize("content", [None, b"", b"no tensors"])
def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "familiar.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"familiar\.safetensors: .*run again"):
        FamiliarQuestions.load(path)
