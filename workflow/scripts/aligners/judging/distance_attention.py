"""DeBERTa's attention by relative position, without a table lookup for each pair of tokens.

Method: He, Liu, Gao and Chen, "DeBERTa: Decoding-enhanced BERT with Disentangled Attention"
(arXiv 2006.03654), section 3.1. A shift of rows replaces the lookup, as in Transformer-XL
(arXiv 1901.02860), appendix B.
"""

import torch
from transformers.models.deberta_v2.modeling_deberta_v2 import DisentangledSelfAttention


class DistanceAttention(DisentangledSelfAttention):
    """The attention of transformers, with the same weights, for models with `share_att_key`.

    n tokens have 2n - 1 distances. For a short text, only the positions of these distances are
    computed, and scores by token are a view of the memory of scores by distance.
    """

    def disentangled_attention_bias(
        self,
        query_layer: torch.Tensor,
        key_layer: torch.Tensor,
        relative_pos: torch.Tensor,
        rel_embeddings: torch.Tensor,
        scale_factor: int,
    ) -> torch.Tensor:
        """Return the attention scores of the positions, (rows x heads) x tokens x tokens.

        Args:
            query_layer, key_layer: (rows x heads) x tokens x width of a head.
            relative_pos: 1 x tokens x tokens, the bucket of the distance query minus key.
            rel_embeddings: buckets x width; bucket 0 is in the middle.
            scale_factor: number of kinds of scores that are added.
        """
        tokens = query_layer.size(1)
        if tokens > self.pos_ebd_size:
            return super().disentangled_attention_bias(  # type: ignore[no-any-return]
                query_layer, key_layer, relative_pos, rel_embeddings, scale_factor
            )
        # The buckets of the distances n - 1, n - 2, ..., 1 - n.
        buckets = torch.cat([relative_pos[0, :, 0].flip(0), relative_pos[0, 0, 1:]])
        last = 2 * self.pos_ebd_size - 1
        # 1 x distances x width
        positions = rel_embeddings[(buckets + self.pos_ebd_size).clamp(0, last)].unsqueeze(0)
        query_scores = self.scores_by_distance(query_layer, self.key_proj(positions))
        key_scores = self.scores_by_distance(key_layer, self.query_proj(positions.flip(1)))
        bias = view_by_token(query_scores) + view_by_token(key_scores).transpose(-1, -2)
        return bias / (query_layer.size(-1) * scale_factor) ** 0.5

    def scores_by_distance(self, states: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Return the products of tokens and positions, (rows x heads) x tokens x distances.

        Args:
            states: (rows x heads) x tokens x width of a head.
            positions: 1 x distances x width.
        """
        heads = self.transpose_for_scores(positions, self.num_attention_heads)
        rows = states.view(-1, self.num_attention_heads, *states.shape[1:])
        return torch.matmul(rows, heads.transpose(-1, -2)).flatten(0, 1)


def view_by_token(scores: torch.Tensor) -> torch.Tensor:
    """View scores by distance, m x n x (2n - 1), as scores by token, m x n x n.

    In row i, column n - 1 - i is the score of token 0.
    """
    scores = scores.contiguous()
    count, tokens, distances = scores.shape
    strides = (tokens * distances, distances - 1, 1)
    return scores.as_strided((count, tokens, tokens), strides, tokens - 1)
