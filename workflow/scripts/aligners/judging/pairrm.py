"""PairRM, a pairwise reward model: scores which of two texts answers a question better.

Method: Jiang, Ren and Lin, "LLM-Blender: Ensembling Large Language Models with Pairwise Ranking and
Generative Fusion" (arXiv 2306.02561), section 3. The weights are those of
https://huggingface.co/llm-blender/PairRM-hf. Their layout is described on that page and in
https://github.com/yuchenlin/LLM-Blender, whose package does not load with transformers 5.
"""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import (
    AutoConfig,
    DebertaV2Config,
    DebertaV2Model,
    DebertaV2PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError
from aligners.inspectors.inspector import batches
from aligners.judging.distance_attention import DistanceAttention
from aligners.models.hub import check_access, explained
from aligners.models.pretrained import best_dtype, load_model

SOURCE, CANDIDATES = "<|source|>", ("<|candidate1|>", "<|candidate2|>")
MARKERS = (SOURCE, *CANDIDATES)
# The most tokens of the question, and of the whole; each part includes a [CLS], its marker and a
# [SEP]. The texts get half each of the tokens that the question does not use, at least 412.
SOURCE_TOKENS, ALL_TOKENS = 1224, 1224 + 2 * 412

# From the released config.json; DistanceAttention needs the last three.
LAYOUT: dict[str, Any] = {
    "model_type": "deberta-v2",
    "relative_attention": True,
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
}
HEAD_KEYS = ("n_tasks", "drop_out")

# Tokens in one batch. On a CPU few: with more, the attention scores do not fit into its caches.
BATCH_TOKENS = {"cuda": 16_384, "cpu": 512}

# Characters of a question in a message.
QUESTION_SHOWN = 80

# The question, the first text and the second text.
Comparison = tuple[str, str, str]


class PairRankerModel(DebertaV2PreTrainedModel):
    """DeBERTa with a head that scores a candidate from the states of two markers.

    The layers are named as in the released weights: `pretrained_model.*`, `head_layer.1.*` and
    `head_layer.4.*`; layers 0 and 3 of the head are dropouts, layer 2 is a tanh.
    """

    base_model_prefix = "pretrained_model"

    def __init__(self, config: DebertaV2Config):
        super().__init__(config)
        self.pretrained_model = DebertaV2Model(config)
        layers: Any = self.pretrained_model.encoder.layer
        for layer in layers:
            layer.attention.self = DistanceAttention(config)
        self.head_layer = nn.Sequential(
            nn.Dropout(config.drop_out),
            nn.Linear(2 * config.hidden_size, config.hidden_size),
            nn.Tanh(),
            nn.Dropout(config.drop_out),
            nn.Linear(config.hidden_size, config.n_tasks),
        )
        self.post_init()

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, markers: torch.Tensor
    ) -> torch.Tensor:
        """Return the logit of the first candidate over the second, for each row.

        Args:
            input_ids: rows x tokens.
            attention_mask: rows x tokens.
            markers: rows x 3, the positions of the markers of the source and both candidates.
        """
        # rows x tokens x width
        states = self.pretrained_model(input_ids, attention_mask).last_hidden_state
        rows = torch.arange(len(states), device=states.device).unsqueeze(1)  # rows x 1
        source, first, second = states[rows, markers].unbind(dim=1)  # rows x width, each
        # rows x n_tasks, each
        scores = [self.head_layer(torch.cat([source, text], dim=-1)) for text in (first, second)]
        return (scores[0] - scores[1]).mean(dim=-1)


class PairRanker:
    """Compares two texts for a question, in the given order."""

    def __init__(self, model: PairRankerModel, tokenizer: PreTrainedTokenizerBase):
        """Use a loaded model and its tokenizer; `load` loads both."""
        self.model, self.tokenizer = model, tokenizer
        self.batch_tokens = BATCH_TOKENS[model.device.type]
        self.marker_ids = [tokenizer.get_added_vocab()[marker] for marker in MARKERS]
        self.reserved = re.compile("|".join(map(re.escape, tokenizer.get_added_vocab())))

    @classmethod
    def load(cls, source: ModelSource) -> "PairRanker":
        """Load the recipe's `model` at its `revision`: float32 on a CPU, 16 bits on a GPU.

        Raises:
            UserError: the model cannot be loaded, or is not PairRM.
        """
        tokenizer = load_marked_tokenizer(source)
        dtype = best_dtype("auto")
        model = load_pairrm(source, dtype)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        nn.Module.to(model, device)
        return cls(model.eval(), tokenizer)

    def compare(self, comparisons: Sequence[Comparison]) -> list[float]:
        """Return the logit of the first text over the second, for each comparison in order.

        Batches have rows of similar length. If a text is too long, its end is cut, as in the
        release. Special tokens of the tokenizer in a text become spaces.

        Raises:
            UserError: a logit is NaN.
        """
        encoded = self.encode(comparisons)
        logits = np.zeros(len(encoded))
        for batch in batches([len(inputs["input_ids"]) for inputs in encoded], self.batch_tokens):
            logits[batch] = self.logits([encoded[index] for index in batch])
        if np.isnan(logits).any():
            question, *_ = comparisons[int(np.isnan(logits).argmax())]
            raise UserError(
                f"{self.model.name_or_path}: the score of the texts for the question "
                f"{question[:QUESTION_SHOWN]!r} is NaN; fetch the model again"
            )
        return logits.tolist()

    def encode(self, comparisons: Sequence[Comparison]) -> list[dict[str, list[int]]]:
        """Return the input ids of each comparison, and the positions of its three markers.

        Each of the three parts is [CLS], its marker, its text, [SEP].
        """
        unique = list(dict.fromkeys(text for comparison in comparisons for text in comparison))
        tokens = self.tokenize(unique)
        encoded = []
        for comparison in comparisons:
            question, *texts = (tokens[text] for text in comparison)
            parts = [truncate(question, SOURCE_TOKENS)]
            limit = (ALL_TOKENS - len(parts[0])) // 2
            parts += [truncate(text, limit) for text in texts]
            ids: list[int] = []
            markers = []
            for marker_id, part in zip(self.marker_ids, parts, strict=True):
                markers.append(len(ids) + 1)
                ids += [part[0], marker_id, *part[2:]]
            encoded.append({"input_ids": ids, "markers": markers})
        return encoded

    def tokenize(self, texts: Sequence[str]) -> dict[str, list[int]]:
        """Return all tokens of each text, encoded with the marker of the source."""
        if not texts:
            return {}
        marked = [SOURCE + self.reserved.sub(" ", text) for text in texts]
        return dict(zip(texts, self.tokenizer(marked, verbose=False)["input_ids"], strict=True))

    @torch.inference_mode()
    def logits(self, encoded: Sequence[dict[str, list[int]]]) -> NDArray[np.floating]:
        """Return the logits of one batch: rows."""
        inputs = [{"input_ids": row["input_ids"]} for row in encoded]
        batch = self.tokenizer.pad(inputs, return_tensors="pt").to(self.model.device)
        markers = torch.tensor([row["markers"] for row in encoded], device=self.model.device)
        logits = self.model(batch["input_ids"], batch["attention_mask"], markers)
        values: NDArray[np.floating] = logits.float().cpu().numpy()
        return values


def truncate(tokens: list[int], limit: int) -> list[int]:
    """Return at most `limit` tokens; the [SEP] at the end is kept."""
    return tokens if len(tokens) <= limit else [*tokens[: limit - 1], tokens[-1]]


def load_marked_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """Load the tokenizer from its tokenizer.json, and check that it has the markers.

    The class for DeBERTa in transformers 5 is not used: it replaces the file's normalizer by its
    own, which changes some characters that the model was trained on.

    Raises:
        UserError: the tokenizer cannot be loaded, or lacks a marker.
    """
    check_access(source)
    with explained(source):
        tokenizer = PreTrainedTokenizerFast.from_pretrained(source.model, revision=source.revision)
    missing = [marker for marker in MARKERS if marker not in tokenizer.get_added_vocab()]
    if missing:
        raise UserError(
            f"{source.model}: not PairRM, because the tokenizer has no tokens "
            f"{', '.join(missing)}; in the judge's recipe, set model: llm-blender/PairRM-hf or a "
            "copy of it"
        )
    return tokenizer


def load_pairrm(source: ModelSource, dtype: torch.dtype) -> PairRankerModel:
    """Load the model and check that the file has all of its weights and no others.

    Raises:
        UserError: the configuration is not PairRM's, or weights are missing or unexpected.
    """
    check_config(source)
    model: Any = load_model(PairRankerModel, source, dtype=dtype, exact=True)
    return model  # type: ignore[no-any-return]


def check_config(source: ModelSource) -> None:
    """Check that a model's config.json is that of PairRM-hf.

    Raises:
        UserError: it is not.
    """
    check_access(source)
    with explained(source):
        config = AutoConfig.from_pretrained(source.model, revision=source.revision)
    found = config.to_dict()
    wanted = [f"{key}: {value}" for key, value in LAYOUT.items() if found.get(key) != value]
    wanted += [key for key in HEAD_KEYS if key not in found]
    if wanted:
        raise UserError(
            f"{source.model}: config.json is not that of PairRM, which has "
            f"{', '.join(wanted)}; set model: llm-blender/PairRM-hf or a copy of it "
            "(llm-blender/PairRM has the same weights in another format)"
        )
