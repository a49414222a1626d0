"""DeBERTa's attention to relative positions without a table lookup for each pair of tokens.

Method: He, Liu, Gao and Chen, "DeBERTa: Decoding-enhanced BERT with Disentangled Attention"
(arXiv 2006.03654), section 3.1; the shift of rows in place of a lookup is that of Transformer-XL
(arXiv 1901.02860), appendix B.
"""

import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention


class DistanceAttention(DisentangledSelfAttention):
    """Attention as in transformers, with the same weights, for positions that share its keys.

    A text of n tokens has 2n - 1 distances. Where these are few, only their positions take part,
    not all that the model has, and scores by distance become scores by token as a view of the
    same memory.
    """

    def disentangled_attention_bias(
        self,
        query_layer: torch.Tensor,
        key_layer: torch.Tensor,
        relative_pos: torch.Tensor,
        rel_embeddings: torch.Tensor,
        scale_factor: int,
    ) -> torch.Tensor:
        """Return what positions add to the attention scores, (rows x heads) x tokens x tokens.

        Args:
            query_layer: (rows x heads) x tokens x width of a head; so is key_layer.
            key_layer: see query_layer.
            relative_pos: 1 x tokens x tokens, the number of the position of query minus key.
            rel_embeddings: positions x width; the position of number 0 is in the middle.
            scale_factor: how many kinds of scores are added up.
        """
        tokens = query_layer.size(1)
        if tokens > self.pos_ebd_size:
            return super().disentangled_attention_bias(  # type: ignore[no-any-return]
                query_layer, key_layer, relative_pos, rel_embeddings, scale_factor
            )
        # From the farthest before to the farthest behind.
        numbers = torch.cat([relative_pos[0, :, 0].flip(0), relative_pos[0, 0, 1:]])
        last = 2 * self.pos_ebd_size - 1
        positions = rel_embeddings[(numbers + self.pos_ebd_size).clamp(0, last)].unsqueeze(0)
        by_query = self.by_distance(query_layer, self.key_proj(positions))
        by_key = self.by_distance(key_layer, self.query_proj(positions.flip(1)))
        bias = by_token(by_query) + by_token(by_key).transpose(-1, -2)
        return bias / (query_layer.size(-1) * scale_factor) ** 0.5

    def by_distance(self, states: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Return the products of tokens and positions, (rows x heads) x tokens x distances."""
        heads = self.transpose_for_scores(positions, self.num_attention_heads)
        rows = states.view(-1, self.num_attention_heads, *states.shape[1:])
        return torch.matmul(rows, heads.transpose(-1, -2)).flatten(0, 1)


def by_token(scores: torch.Tensor) -> torch.Tensor:
    """View scores by distance, m x n x (2n - 1), as scores by token, m x n x n.

    In row i, column n - 1 - i is that of token 0.
    """
    scores = scores.contiguous()
    count, tokens, distances = scores.shape
    strides = (tokens * distances, distances - 1, 1)
    return scores.as_strided((count, tokens, tokens), strides, tokens - 1)
