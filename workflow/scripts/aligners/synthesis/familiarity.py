"""Familiar questions: those that are like a training question.

Aligners change facts that they never learnt, and the scores of inspectors mean little there. So a
squad leaves a question alone whose sentence embedding is farther from that of each training
question than those of nearly all validation questions are.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from aligners.core.errors import UserError
from aligners.core.rows import atomic_path, row_id

# Texts to unit vectors (texts x dimensions).
Embed = Callable[[Sequence[str]], NDArray[np.floating]]
# More training questions find more of the unfamiliar ones, and cost time.
MAX_QUESTIONS = 2000
# Questions that are compared at once.
BLOCK = 1000


@dataclass(frozen=True)
class FamiliarQuestions:
    """The training questions as sentence embeddings, and how near to one a familiar question is.

    Attributes:
        embeddings: unit vectors (questions x dimensions).
        bound: largest cosine distance of a familiar question from the nearest one, in [0, 2].
    """

    embeddings: NDArray[np.floating]
    bound: float

    @classmethod
    def fit(
        cls, embed: Embed, train: Sequence[str], validation: Sequence[str], share: float, seed: int
    ) -> "FamiliarQuestions":
        """Return the familiar questions of an experiment.

        Args:
            embed: the sentence encoder.
            train: training questions; a seeded sample of at most MAX_QUESTIONS is used.
            validation: questions of which at least `share` (in [0, 1]) are familiar.
            share: see `validation`.
            seed: of the sample.
        """
        chosen = sorted(set(train), key=lambda text: row_id(str(seed), text))[:MAX_QUESTIONS]
        embeddings = embed(chosen)
        distances = nearest_distances(embed(sorted(set(validation))), embeddings)
        return cls(embeddings, float(np.quantile(distances, share, method="inverted_cdf")))

    def familiar(self, embed: Embed, questions: Sequence[str]) -> list[bool]:
        """Return whether each question is familiar."""
        if not questions:
            return []
        distances = nearest_distances(embed(questions), self.embeddings)
        return [bool(distance <= self.bound) for distance in distances]

    def save(self, path: Path) -> None:
        """Write the embeddings and the bound to a safetensors file."""
        tensors: dict[str, NDArray[Any]] = {
            "embeddings": self.embeddings.astype(np.float32),
            "bound": np.array([self.bound], dtype=np.float64),
        }
        with atomic_path(path) as partial:
            save_file(tensors, partial)

    @classmethod
    def load(cls, path: Path) -> "FamiliarQuestions":
        """Read a file of `save`.

        Raises:
            UserError: the file is missing or damaged.
        """
        try:
            tensors = load_file(path)
            return cls(tensors["embeddings"], float(tensors["bound"][0]))
        except (OSError, SafetensorError, KeyError) as error:
            raise UserError(
                f"{path}: not a readable file of familiar questions ({error}); delete it and run "
                "again"
            ) from None


def nearest_distances(
    questions: NDArray[np.floating], known: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return the cosine distance of each question from the nearest of the known ones."""
    blocks = [
        1 - (questions[start : start + BLOCK] @ known.T).max(axis=1)
        for start in range(0, len(questions), BLOCK)
    ]
    return np.concatenate(blocks)
