"""PairRM: which of two answers to a question is better, by a pairwise reward model.

Method: Jiang, Ren and Lin, "LLM-Blender: Ensembling Large Language Models with Pairwise Ranking and
Generative Fusion" (arXiv 2306.02561), section 3. The weights are those of
https://huggingface.co/llm-blender/PairRM-hf, and the facts about their layout are from that page
and from https://github.com/yuchenlin/LLM-Blender, whose package does not load with transformers 5.
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
# Tokens at most, of which each part has a [CLS], its marker and a [SEP]. Both answers share equally
# what a short question leaves of the whole, so that each may have 412 tokens at least.
SOURCE_TOKENS, ALL_TOKENS = 1224, 1224 + 2 * 412

# What config.json says in the release; the attention is written for shared keys of both kinds.
LAYOUT: dict[str, Any] = {
    "model_type": "deberta-v2",
    "relative_attention": True,
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
}
HEAD_KEYS = ("n_tasks", "drop_out")

# Tokens in one batch. On a CPU few: with more, the attention scores do not fit its caches.
BATCH_TOKENS = {"cuda": 16_384, "cpu": 512}

# A question, the answer that stands first and the one that stands second.
Comparison = tuple[str, str, str]


class PairRankerModel(DebertaV2PreTrainedModel):
    """DeBERTa with a head that scores a candidate from the states of two markers.

    The names of the layers are those of the released weights: `pretrained_model.*`,
    `head_layer.1.*` and `head_layer.4.*`; 0 and 3 are dropouts, 2 a tanh.
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
            markers: rows x 3, where the markers of the source and of both candidates stand.
        """
        states = self.pretrained_model(input_ids, attention_mask).last_hidden_state
        rows = torch.arange(len(states), device=states.device).unsqueeze(1)
        source, first, second = states[rows, markers].unbind(dim=1)
        scores = [self.head_layer(torch.cat([source, one], dim=-1)) for one in (first, second)]
        return (scores[0] - scores[1]).mean(dim=-1)


class PairRanker:
    """Compares two texts for a question, in the given order."""

    def __init__(self, model: PairRankerModel, tokenizer: PreTrainedTokenizerBase):
        """Take a loaded model; `load` loads both."""
        self.model, self.tokenizer = model, tokenizer
        self.batch_tokens = BATCH_TOKENS[model.device.type]
        self.marker_ids = [tokenizer.get_added_vocab()[marker] for marker in MARKERS]
        self.reserved = re.compile("|".join(map(re.escape, tokenizer.get_added_vocab())))

    @classmethod
    def load(cls, source: ModelSource) -> "PairRanker":
        """Load a PairRM: float32 on a processor, 16 bits on a GPU.

        Raises:
            UserError: it cannot be had, or is no PairRM; the message says what to do.
        """
        tokenizer = load_marked_tokenizer(source)
        dtype = best_dtype("auto")
        model = load_complete(source, dtype)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        nn.Module.to(model, device)
        return cls(model.eval(), tokenizer)

    def compare(self, comparisons: Sequence[Comparison]) -> list[float]:
        """Return the logit of the first answer over the second, for each comparison in its order.

        They are computed in batches of similar length. Texts that are too long are cut at their
        ends, as in the release; words of the tokenizer's special tokens in a text become spaces.
        """
        encoded = self.encode(comparisons)
        logits = np.zeros(len(encoded))
        for batch in batches([len(inputs["input_ids"]) for inputs in encoded], self.batch_tokens):
            logits[batch] = self.logits([encoded[index] for index in batch])
        return logits.tolist()

    def encode(self, comparisons: Sequence[Comparison]) -> list[dict[str, list[int]]]:
        """Return the input ids of each comparison, and where its three markers stand in them.

        Each part has its own [CLS] and [SEP], and its marker comes right after the [CLS].
        """
        texts = list(dict.fromkeys(text for comparison in comparisons for text in comparison))
        tokens = self.tokens_of(texts)
        encoded = []
        for comparison in comparisons:
            question, *answers = (tokens[text] for text in comparison)
            parts = [cut(question, SOURCE_TOKENS)]
            limit = (ALL_TOKENS - len(parts[0])) // 2
            parts += [cut(answer, limit) for answer in answers]
            ids: list[int] = []
            markers = []
            for marker_id, part in zip(self.marker_ids, parts, strict=True):
                markers.append(len(ids) + 1)
                ids += [part[0], marker_id, *part[2:]]
            encoded.append({"input_ids": ids, "markers": markers})
        return encoded

    def tokens_of(self, texts: Sequence[str]) -> dict[str, list[int]]:
        """Return the uncut tokens of each text, with the marker of the source."""
        if not texts:
            return {}
        marked = [SOURCE + self.reserved.sub(" ", text) for text in texts]
        return dict(zip(texts, self.tokenizer(marked, verbose=False)["input_ids"], strict=True))

    @torch.inference_mode()
    def logits(self, encoded: Sequence[dict[str, list[int]]]) -> NDArray[np.floating]:
        """Return the logits of one batch."""
        inputs = [{"input_ids": one["input_ids"]} for one in encoded]
        batch = self.tokenizer.pad(inputs, return_tensors="pt").to(self.model.device)
        markers = torch.tensor([one["markers"] for one in encoded], device=self.model.device)
        logits = self.model(batch["input_ids"], batch["attention_mask"], markers)
        values: NDArray[np.floating] = logits.float().cpu().numpy()
        return values


def cut(tokens: list[int], limit: int) -> list[int]:
    """Cut tokens to a limit before the [SEP] at their end."""
    return tokens if len(tokens) <= limit else [*tokens[: limit - 1], tokens[-1]]


def load_marked_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """Load the tokenizer as its tokenizer.json has it, and check that it knows the markers.

    The class for DeBERTa of transformers 5 would put a normalizer of its own in place of the
    file's, and so read some characters differently than the model was trained on.

    Raises:
        UserError: it cannot be had, or has no such tokens.
    """
    check_access(source)
    with explained(source):
        tokenizer = PreTrainedTokenizerFast.from_pretrained(source.model, revision=source.revision)
    missing = [marker for marker in MARKERS if marker not in tokenizer.get_added_vocab()]
    if missing:
        raise UserError(
            f"{source.model}: the tokenizer has no tokens {', '.join(missing)}, so this is no "
            "PairRM; set model: llm-blender/PairRM-hf, or a copy of it"
        )
    return tokenizer


def load_complete(source: ModelSource, dtype: torch.dtype) -> PairRankerModel:
    """Load the weights, which have to be those of the architecture, no more and no fewer.

    Raises:
        UserError: names those that are missing or too many.
    """
    check_config(source)
    loaded: Any = load_model(PairRankerModel, source, dtype=dtype, output_loading_info=True)
    model, report = loaded
    faults = {
        "missing": sorted(report["missing_keys"]),
        "unexpected": sorted(report["unexpected_keys"]),
    }
    if any(faults.values()):
        told = "; ".join(f"{what}: {', '.join(names)}" for what, names in faults.items() if names)
        raise UserError(
            f"{source.model}: the weights are not those of a PairRM ({told}); "
            "fetch llm-blender/PairRM-hf again, or mend the key model"
        )
    return model  # type: ignore[no-any-return]


def check_config(source: ModelSource) -> None:
    """Refuse a model whose config.json is not one of PairRM-hf.

    Raises:
        UserError: says which one to take.
    """
    check_access(source)
    with explained(source):
        config = AutoConfig.from_pretrained(source.model, revision=source.revision)
    found = config.to_dict()
    wanted = [f"{key}: {value}" for key, value in LAYOUT.items() if found.get(key) != value]
    wanted += [key for key in HEAD_KEYS if key not in found]
    if wanted:
        raise UserError(
            f"{source.model}: config.json is not that of a PairRM, for want of "
            f"{', '.join(wanted)}; set model: llm-blender/PairRM-hf, or a copy of it. "
            "(llm-blender/PairRM holds the same weights for another loader.)"
        )
