"""Similarity of a response and its correction: the cosine of their sentence embeddings."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from aligners.configuration.kinds.encoders import EncoderRecipe

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def load_encoder(recipe: EncoderRecipe) -> "SentenceTransformer":
    """Load the sentence encoder of a recipe."""
    source = recipe.source()
    # This import loads torch, which takes seconds.
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(
        source.model,
        revision=source.revision,
        model_kwargs={"use_safetensors": True},
        trust_remote_code=False,
    )
    encoder.max_seq_length = recipe.max_tokens
    return encoder


def embed(
    encoder: "SentenceTransformer", texts: Sequence[str], batch_size: int
) -> NDArray[np.floating]:
    """Return the sentence embeddings of texts as unit vectors: texts x dimensions.

    The dot product of two is their cosine.
    """
    embeddings: NDArray[np.floating] = encoder.encode(
        list(texts), batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False
    )
    return embeddings


def embedder(recipe: EncoderRecipe) -> Callable[[Sequence[str]], NDArray[np.floating]]:
    """Load the sentence encoder of a recipe, and return `embed` with it."""
    return partial(embed, load_encoder(recipe), batch_size=recipe.batch_size)


def cosine_similarities(
    encoder: "SentenceTransformer", first: Sequence[str], second: Sequence[str], batch_size: int
) -> list[float]:
    """Return the cosine similarity of each pair of texts, in [-1, 1].

    Every distinct text is encoded once. Pairs of equal texts get 1 and are not encoded.
    """
    pairs = list(zip(first, second, strict=True))
    texts = sorted({text for pair in pairs if pair[0] != pair[1] for text in pair})
    if not texts:
        return [1.0] * len(pairs)
    embeddings = embed(encoder, texts, batch_size)
    position = {text: index for index, text in enumerate(texts)}
    cosines = (
        1.0 if left == right else np.dot(embeddings[position[left]], embeddings[position[right]])
        for left, right in pairs
    )
    return [round(float(np.clip(cosine, -1.0, 1.0)), 6) for cosine in cosines]
