"""The scores of labelled rows by an inspector that was just trained."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from aligners.core.errors import UserError
from aligners.core.rows import Row
from aligners.inspectors.calibration import Labels, LogOdds
from aligners.inspectors.encoding import encode_windows
from aligners.training.batches import RowDataset
from aligners.training.trainer import BatchTrainer


class Scored(NamedTuple):
    """Rows with the log odds of an inspector, not calibrated: one for each row."""

    rows: list[Row]
    log_odds: LogOdds

    @property
    def labels(self) -> Labels:
        """The label of each row."""
        return np.array([row["label"] for row in self.rows])

    @property
    def questions(self) -> list[str]:
        """The id of each row's question."""
        return [row["question_id"] for row in self.rows]


@dataclass(frozen=True)
class Scorer:
    """An inspector that was trained and not yet calibrated.

    Attributes:
        name: the inspector's criterion, for messages.
        trainer: the trainer after training.
        tokenizer: of the model.
        max_tokens: longest input of the model.
    """

    name: str
    trainer: BatchTrainer
    tokenizer: PreTrainedTokenizerBase
    max_tokens: int

    def score(self, rows: Sequence[Row]) -> Scored:
        """Return the log odds of rows, as `Inspector.log_odds` computes them.

        Rows whose question leaves no room for the response are left out.

        Args:
            rows: with id, question_id, question, response and label.

        Raises:
            UserError: no row is left, or a logit is NaN or infinite.
        """
        questions, responses = ([row[field] for row in rows] for field in ("question", "response"))
        windows = encode_windows(self.tokenizer, questions, responses, self.max_tokens)
        scored = [row for row, of_row in zip(rows, windows, strict=True) if of_row]
        if not scored:
            raise UserError(
                f"the inspector of {self.name}: the questions of row {rows[0]['id']} and of all "
                f"rows beside it take more than half of {self.max_tokens} tokens; raise max_tokens "
                "in the recipe, or use a model that reads longer texts"
            )
        flat = [
            {"id": row["id"], "label": row["label"], **inputs}
            for row, of_row in zip(rows, windows, strict=True)
            for inputs in of_row
        ]
        starts = np.cumsum([0, *(len(of_row) for of_row in windows if of_row)])[:-1]
        return Scored(scored, np.minimum.reduceat(self.predict(flat), starts))

    def predict(self, rows: Sequence[dict[str, Any]]) -> LogOdds:
        """Return the log odds of encoded rows, in their order.

        Raises:
            UserError: a logit is NaN or infinite.
        """
        # In order of length, batches have less padding.
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]["input_ids"]))
        output: Any = self.trainer.predict(RowDataset([rows[index] for index in order]))
        logits = output.predictions.astype(np.float64)[np.argsort(order)]  # rows x 2
        faulty = ~np.isfinite(logits).all(axis=1)  # rows
        if faulty.any():
            first = rows[int(faulty.argmax())]["id"]
            raise UserError(
                f"the inspector of {self.name}: its logits of row {first} are "
                f"{logits[faulty][0].tolist()}, and calibration needs finite numbers; set dtype: "
                "float32 or a lower learning_rate in its recipe"
            )
        log_odds: LogOdds = logits[:, 1] - logits[:, 0]
        return log_odds
