"""Which questions are like those of an inspector's training.

The scores of an inspector are of no use for facts that it has never seen. Such facts have words of
their own. So a question is familiar if few of its tokens occur in no training question.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel
from transformers import PreTrainedTokenizerBase

from aligners.core.file_checks import Count
from aligners.core.rows import read_json, write_json
from aligners.models.special_tokens import as_plain_text

FILE = "known_tokens.json"


class KnownTokens(BaseModel):
    """The tokens of the training questions, as an inspector's directory has them.

    Attributes:
        tokens: their ids, in ascending order.
        max_unseen: largest number of other tokens in a familiar question.
    """

    tokens: list[Count]
    max_unseen: Count

    @classmethod
    def fit(
        cls,
        tokenizer: PreTrainedTokenizerBase,
        train: Sequence[str],
        validation: Sequence[str],
        familiar_share: float,
    ) -> "KnownTokens":
        """Return the known tokens of an inspector.

        Args:
            tokenizer: of the inspector.
            train: training questions.
            validation: other questions; at least `familiar_share` of them (in [0, 1]) are familiar.
        """
        known = set().union(*token_sets(tokenizer, train))
        unseen = [len(tokens - known) for tokens in token_sets(tokenizer, validation)]
        bound = int(np.quantile(unseen, familiar_share, method="higher"))
        return cls(tokens=sorted(known), max_unseen=bound)

    def familiar(self, tokenizer: PreTrainedTokenizerBase, questions: Sequence[str]) -> list[bool]:
        """Return whether each question is familiar."""
        known = set(self.tokens)
        return [
            len(tokens - known) <= self.max_unseen for tokens in token_sets(tokenizer, questions)
        ]

    def save(self, directory: Path) -> None:
        """Write the known tokens to the model directory of an inspector."""
        write_json(directory / FILE, self.model_dump())

    @classmethod
    def load(cls, directory: Path) -> "KnownTokens":
        """Read the known tokens from the model directory of an inspector.

        Raises:
            UserError: the file is missing, damaged or incomplete.
        """
        return cls(**read_json(directory / FILE, cls))


def token_sets(tokenizer: PreTrainedTokenizerBase, questions: Sequence[str]) -> list[set[int]]:
    """Return the distinct tokens of each question."""
    if not questions:
        return []
    plain = [as_plain_text(tokenizer, question) for question in questions]
    encoded = tokenizer(plain, add_special_tokens=False, split_special_tokens=True)
    return [set(ids) for ids in encoded["input_ids"]]
