"""Comparisons of answers by a pair ranker: ours, against the method of the paper's evaluation.

That method needs four passes per comparison (evaluation_using_PairRM.py of lilianngweta/aligners).
For the scores, `rank` of LLM-Blender computes both orders of two candidates in batches of 64. For
the winner, `compare` computes both again in batches of 4. Each pass tokenizes the texts again, in
consecutive batches, and pads each text to its limit. Columns that contain only padding are dropped,
so a batch is as wide as its longest row. The attention is that of transformers. The two passes of
`compare` are also measured alone. The model is small and has random weights; both methods use
float32.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from figures import IS_TRUE, Figure, Figures, at_least, at_most
from side_by_side import compare
from texts import load_texts, make_rows
from transformers import DebertaV2Config, DebertaV2Model, set_seed

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.rows import Row
from aligners.judging.pairrm import (
    ALL_TOKENS,
    CANDIDATES,
    MARKERS,
    SOURCE,
    SOURCE_TOKENS,
    PairRanker,
    PairRankerModel,
)
from aligners.models.from_scratch import train_wordpiece_tokenizer

# Like DeBERTa-v3, except for the size.
SHAPE: dict[str, Any] = {
    "num_hidden_layers": 6,
    "hidden_size": 256,
    "num_attention_heads": 8,
    "intermediate_size": 1024,
    "relative_attention": True,
    "position_buckets": 256,
    "position_biased_input": False,
    "share_att_key": True,
    "pos_att_type": ["p2c", "c2p"],
    "norm_rel_ebd": "layer_norm",
    # So that differences between answers are larger than rounding errors.
    "initializer_range": 0.05,
    "n_tasks": 1,
    "drop_out": 0.05,
}
VOCABULARY = 4000
TOKENIZER_TEXTS = 5000
RANK_BATCH, COMPARE_BATCH = 64, 4


def measure(rows: int = 128) -> Figures:
    """Compare the two answers of `rows` rows with both methods."""
    source, texts = load_texts()
    made = make_rows(texts, rows)
    with tempfile.TemporaryDirectory() as name:
        ranker = make_ranker(Path(name), texts[:TOKENIZER_TEXTS])
    released = ReleasedMethod(ranker)
    rates, theirs, own = compare(made, released.rank_and_compare, lambda rows: ours(ranker, rows))
    alone, _, _ = compare(made, released.compare, lambda rows: ours(ranker, rows))
    pairs = list(zip(theirs, own, strict=True))
    return {
        "texts": Figure(source),
        "rows": Figure(len(made)),
        "million parameters": Figure(ranker.model.num_parameters() / 1e6),
        "reference, rows/s": Figure(rates["reference, rows/s"]),
        "ours, rows/s": Figure(rates["ours, rows/s"]),
        "ratio": Figure(rates["ratio"], at_least(3)),
        "ratio to compare alone": Figure(alone["ratio"]),
        "largest difference of logits": Figure(max(abs(a - b) for a, b in pairs), at_most(1e-4)),
        "same winners": Figure(all((a > 0) == (b > 0) for a, b in pairs), IS_TRUE),
    }


def make_ranker(directory: Path, texts: Sequence[str]) -> PairRanker:
    """Return a ranker with random weights, loaded like a released one."""
    tokenizer = train_wordpiece_tokenizer(texts, VOCABULARY)
    tokenizer.add_tokens(list(MARKERS))
    set_seed(0)
    model = PairRankerModel(DebertaV2Config(vocab_size=len(tokenizer), **SHAPE))
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return PairRanker.load(ModelSource(str(directory)))


def ours(ranker: PairRanker, rows: Sequence[Row]) -> list[float]:
    """Return the mean logit of both orders for each row."""
    texts = [(row["question"], row["response"], row["aligned_response"]) for row in rows]
    orders = [order for q, a, b in texts for order in ((q, a, b), (q, b, a))]
    logits = ranker.compare(orders)
    return [(a - b) / 2 for a, b in zip(logits[::2], logits[1::2], strict=True)]


class ReleasedMethod:
    """The passes of LLM-Blender, with the weights of a ranker."""

    def __init__(self, ranker: PairRanker):
        self.tokenizer, self.head = ranker.tokenizer, ranker.model.head_layer
        self.marker_ids = torch.tensor(ranker.marker_ids)
        self.backbone = DebertaV2Model(ranker.model.config).eval()
        self.backbone.load_state_dict(ranker.model.pretrained_model.state_dict())

    def rank_and_compare(self, rows: Sequence[Row]) -> list[float]:
        """Return the mean logit of both orders for each row, after computing both orders twice."""
        self.both_orders(rows, RANK_BATCH)
        return self.compare(rows)

    def compare(self, rows: Sequence[Row]) -> list[float]:
        """Return the mean logit of both orders for each row."""
        return self.both_orders(rows, COMPARE_BATCH)

    def both_orders(self, rows: Sequence[Row], size: int) -> list[float]:
        """Return the mean logit of both orders for each row, in batches of `size`."""
        forward = self.one_order(rows, size, "response", "aligned_response")
        backward = self.one_order(rows, size, "aligned_response", "response")
        return [(a - b) / 2 for a, b in zip(forward, backward, strict=True)]

    def one_order(self, rows: Sequence[Row], size: int, first: str, second: str) -> list[float]:
        """Return the logit of the first answer over the second for each row."""
        logits: list[float] = []
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            logits += self.batch(
                [[row[name] for row in batch] for name in ("question", first, second)]
            )
        return logits

    def batch(self, columns: list[list[str]]) -> list[float]:
        """Return the logits of one batch of questions, first and second answers."""
        sources = self.padded(SOURCE, columns[0], SOURCE_TOKENS)
        longest = int(sources["attention_mask"].sum(dim=1).max())
        limit = (ALL_TOKENS - longest) // 2
        parts = [sources, *map(self.padded, CANDIDATES, columns[1:], [limit, limit])]
        ids = torch.cat([part["input_ids"] for part in parts], dim=1)
        mask = torch.cat([part["attention_mask"] for part in parts], dim=1)
        # (rows, width): move the padding to the end of each row, and keep the order of the tokens.
        order = mask.argsort(dim=1, descending=True, stable=True)
        width = int(mask.sum(dim=1).max())
        ids, mask = ids.gather(1, order)[:, :width], mask.gather(1, order)[:, :width]
        return self.logits(ids, mask)

    def padded(self, marker: str, texts: Sequence[str], limit: int) -> Any:
        """Return the tokens of texts after a marker, cut and padded to a limit."""
        return self.tokenizer(
            [marker + text for text in texts],
            padding="max_length",
            truncation=True,
            max_length=limit,
            return_tensors="pt",
        )

    @torch.no_grad()
    def logits(self, ids: torch.Tensor, mask: torch.Tensor) -> list[float]:
        """Return the logits (rows,), from the states at the positions of the markers."""
        states = self.backbone(ids, mask).last_hidden_state
        source, first, second = (states[ids == marker] for marker in self.marker_ids)
        scores = [self.head(torch.cat([source, one], dim=-1)) for one in (first, second)]
        logits: list[float] = (scores[0] - scores[1]).mean(dim=-1).tolist()
        return logits
