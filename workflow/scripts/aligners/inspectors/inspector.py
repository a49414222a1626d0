"""A trained inspector: returns the calibrated probability that a response is aligned."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError
from aligners.core.rows import read_json
from aligners.inspectors.calibration import aligned_probability
from aligners.models.pretrained import (
    best_dtype,
    check_float16,
    load_for_inference,
    load_tokenizer,
)
from aligners.models.special_tokens import as_plain_text

# Tokens in one batch: a GPU is busy only with many; on a CPU, only few fit into the caches.
BATCH_TOKENS = {"cuda": 16_384, "cpu": 4_096}


class Settings(BaseModel):
    """What an inspector's config.json has under `inspector`."""

    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    max_tokens: Annotated[int, Field(ge=1)]
    dtype: str


class SavedConfig(BaseModel):
    """The part of config.json that is ours."""

    inspector: Settings


class Inspector:
    """Scores responses by the criterion on which it was trained."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        temperature: float,
        max_tokens: int,
    ):
        """Use a loaded classifier and its calibration; `from_directory` loads both."""
        self.model, self.tokenizer = model, tokenizer
        self.temperature, self.max_tokens = temperature, max_tokens
        self.batch_tokens = BATCH_TOKENS[model.device.type]

    @classmethod
    def from_directory(cls, path: Path) -> "Inspector":
        """Load an inspector that `train_inspector` wrote.

        Raises:
            UserError: the directory is not that of an inspector, or has no weights.
        """
        source = ModelSource(str(path))
        tokenizer = load_tokenizer(source)
        model: Any = load_for_inference(AutoModelForSequenceClassification, source, torch.float32)
        if getattr(model.config, "inspector", None) is None:
            raise UserError(
                f"{path}: not the model directory of an inspector, because config.json has no key "
                "inspector; train the inspector again"
            )
        settings = read_json(path / "config.json", SavedConfig)["inspector"]
        dtype = best_dtype(settings["dtype"])
        check_float16(str(path), model.config.model_type, dtype)
        model.to(dtype)
        return cls(model, tokenizer, settings["temperature"], settings["max_tokens"])

    def score(self, questions: Sequence[str], responses: Sequence[str]) -> list[float]:
        """Return P(aligned) in [0, 1] for each (question, response), in order.

        Equal pairs are scored once. If a pair is too long, its longer text is truncated.
        """
        pairs = list(zip(questions, responses, strict=True))
        unique = list(dict.fromkeys(pairs))
        scores = dict(zip(unique, self.score_unique(unique), strict=True))
        return [scores[pair] for pair in pairs]

    def score_unique(self, pairs: Sequence[tuple[str, str]]) -> list[float]:
        """Return P(aligned) for each pair of texts, computed in batches of similar length."""
        if not pairs:
            return []
        questions, responses = zip(*pairs, strict=True)
        encoded = encode_pairs(self.tokenizer, questions, responses, self.max_tokens)
        logits = np.zeros((len(pairs), 2))  # pairs x classes
        lengths = [len(pair.inputs["input_ids"]) for pair in encoded]
        for batch in batches(lengths, self.batch_tokens):
            logits[batch] = self.logits([encoded[index].inputs for index in batch])
        return [float(score) for score in aligned_probability(logits, self.temperature)]

    @torch.inference_mode()
    def logits(self, inputs: list[dict[str, list[int]]]) -> NDArray[np.floating]:
        """Return the logits of one batch: rows x 2."""
        batch = self.tokenizer.pad(inputs, return_tensors="pt").to(self.model.device)
        logits: NDArray[np.floating] = self.model(**batch).logits.float().cpu().numpy()
        return logits


@dataclass(frozen=True)
class EncodedPair:
    """The model's inputs for a question and a response, and whether a text was truncated."""

    inputs: dict[str, list[int]]
    truncated: bool


def encode_pairs(
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[str],
    responses: Sequence[str],
    max_tokens: int,
) -> list[EncodedPair]:
    """Encode questions and responses with the tokenizer's own separator between them.

    If a pair has more than `max_tokens` tokens, its longer text is truncated.
    """
    questions, responses = (
        [as_plain_text(tokenizer, text) for text in texts] for texts in (questions, responses)
    )
    untruncated = tokenizer(questions, responses, split_special_tokens=True)
    encoded = []
    for index, (question, response) in enumerate(zip(questions, responses, strict=True)):
        inputs = {name: untruncated[name][index] for name in untruncated}
        truncated = len(inputs["input_ids"]) > max_tokens
        if truncated:
            inputs = tokenizer(
                question,
                response,
                split_special_tokens=True,
                truncation="longest_first",
                max_length=max_tokens,
            ).data
        encoded.append(EncodedPair(inputs, truncated))
    return encoded


def batches(lengths: Sequence[int], batch_tokens: int) -> Iterator[list[int]]:
    """Yield batches of row indices, longest rows first.

    A batch has at most `batch_tokens` tokens, padding included, or a single row.
    """
    order = sorted(range(len(lengths)), key=lambda index: lengths[index], reverse=True)
    start = 0
    while start < len(order):
        size = max(1, batch_tokens // lengths[order[start]])
        yield order[start : start + size]
        start += size
