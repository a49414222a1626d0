"""A trained inspector: estimates how likely a response is aligned."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from threading import Lock
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, Field
from scipy.special import expit
from transformers import (
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.empty_texts import is_empty
from aligners.core.errors import UserError
from aligners.core.rows import read_json
from aligners.inspectors.encoding import Inputs, encode_windows
from aligners.models.pretrained import (
    best_dtype,
    check_float16,
    load_for_inference,
    load_tokenizer,
)

# Tokens in one batch: a GPU is busy only with many; on a CPU, only few fit into the caches.
BATCH_TOKENS = {"cuda": 16_384, "cpu": 4_096}
# Limit of the padding in a batch: more takes longer than another batch. On a CPU, the demo's
# inspector takes 1.3 in place of 2.2 ms for each of 15 responses, and 1.0 in place of 2.4 ms for
# each of 64. Limits of 50, 100 and 400 differed from this one by less than two runs do. On a GPU,
# a call takes as long as many tokens, so the limit is a whole batch; this was not measured.
MOST_PADDING = {"cuda": 16_384, "cpu": 200}
# Log odds of an empty response: P(aligned) is 2e-9. Pairs of a teacher have none, and what a model
# makes of one is chance. With 1% of empty responses among the training rows, inspectors still gave
# them 0.8 to 0.99 for three of five criteria.
LOG_ODDS_OF_EMPTY = -20.0


class Settings(BaseModel):
    """What an inspector's config.json has under `inspector`."""

    temperature: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    threshold: Annotated[float, Field(allow_inf_nan=False)]
    max_tokens: Annotated[int, Field(ge=1)]
    dtype: str


class SavedConfig(BaseModel):
    """The part of config.json that is ours."""

    inspector: Settings


class Inspector:
    """Scores responses by the criterion on which it was trained. Threads can share one.

    Attributes:
        threshold: calibrated log odds of "aligned" at or above which a response is left as it is.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        settings: Settings,
    ):
        """Use a loaded classifier and what was fitted to it; `from_directory` loads all of it."""
        self.model, self.tokenizer = model, tokenizer
        self.temperature, self.threshold = settings.temperature, settings.threshold
        self.max_tokens = settings.max_tokens
        # A call with truncation changes the state of a tokenizer.
        self.tokenizer_lock = Lock()
        device = model.device.type
        self.batch_tokens, self.most_padding = BATCH_TOKENS[device], MOST_PADDING[device]

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
        settings = Settings(**read_json(path / "config.json", SavedConfig)["inspector"])
        dtype = best_dtype(settings.dtype)
        check_float16(str(path), model.config.model_type, dtype)
        model.to(dtype)
        return cls(model, tokenizer, settings)

    def log_odds(self, questions: Sequence[str], responses: Sequence[str]) -> list[float | None]:
        """Return the calibrated log odds of "aligned" for each (question, response), in order.

        If a pair is too long for the model, overlapping windows of the response are scored and the
        lowest value counts. None: the question leaves too little room for a window, because it
        takes more than half of `max_tokens`. An empty response has LOG_ODDS_OF_EMPTY. Equal pairs
        are scored once.
        """
        pairs = list(zip(questions, responses, strict=True))
        unique = list(dict.fromkeys(pairs))
        values = dict(zip(unique, self.log_odds_of_unique(unique), strict=True))
        return [values[pair] for pair in pairs]

    def log_odds_of_unique(self, pairs: Sequence[tuple[str, str]]) -> list[float | None]:
        """Return the log odds of each pair of texts, computed in batches of similar length."""
        questions, responses = ([pair[side] for pair in pairs] for side in (0, 1))
        with self.tokenizer_lock:
            windows = encode_windows(self.tokenizer, questions, responses, self.max_tokens)
        flat = [inputs for of_pair in windows for inputs in of_pair]
        values = np.zeros(len(flat))
        lengths = [len(inputs["input_ids"]) for inputs in flat]
        for batch in batches(lengths, self.batch_tokens, self.most_padding):
            logits = self.logits([flat[index] for index in batch])
            values[batch] = (logits[:, 1] - logits[:, 0]) / self.temperature
        ends = np.cumsum([len(of_pair) for of_pair in windows])
        lowest = [
            float(values[end - len(of_pair) : end].min()) if of_pair else None
            for end, of_pair in zip(ends, windows, strict=True)
        ]
        return [
            value if value is None or not is_empty(response) else LOG_ODDS_OF_EMPTY
            for value, response in zip(lowest, responses, strict=True)
        ]

    def score(self, questions: Sequence[str], responses: Sequence[str]) -> list[float | None]:
        """Return P(aligned) in [0, 1]: the logistic function of `log_odds`."""
        values = self.log_odds(questions, responses)
        return [None if value is None else float(expit(value)) for value in values]

    @torch.inference_mode()
    def logits(self, inputs: list[Inputs]) -> NDArray[np.floating]:
        """Return the logits of one batch: rows x 2, in double precision."""
        batch = self.tokenizer.pad(inputs, return_tensors="pt").to(self.model.device)
        logits: NDArray[np.floating] = self.model(**batch).logits.double().cpu().numpy()
        return logits


def batches(
    lengths: Sequence[int], batch_tokens: int, most_padding: float = math.inf
) -> Iterator[list[int]]:
    """Yield batches of row indices, longest rows first.

    Args:
        lengths: of the rows, in tokens.
        batch_tokens: limit of a batch, padding included; a single row can be longer.
        most_padding: limit of the padding in a batch.
    """
    batch: list[int] = []
    padding = 0
    for index in sorted(range(len(lengths)), key=lambda index: lengths[index], reverse=True):
        if batch:
            longest = lengths[batch[0]]
            padding += longest - lengths[index]
            if (len(batch) + 1) * longest > batch_tokens or padding > most_padding:
                yield batch
                batch, padding = [], 0
        batch.append(index)
    if batch:
        yield batch
