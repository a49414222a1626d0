"""Similarity of responses and corrections: batches by length, against one pair at a time.

The encoder is all-MiniLM-L6-v2 from a Python package; both methods use float32.
"""

from collections.abc import Sequence

from figures import Figure, Figures, at_least, at_most
from sentence_transformers import util
from side_by_side import compare
from texts import load_texts, make_rows

from aligners.configuration.kinds.encoders import EncoderRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.rows import Row
from aligners.models.pretrained import silence_transformers
from aligners.synthesis.similarity import cosine_similarities, load_encoder

ENCODER = "all-minilm-l6-v2-packaged"


def measure(rows: int = 768) -> Figures:
    """Compute the cosine similarity of `rows` pairs with both methods."""
    source, texts = load_texts()
    made = make_rows(texts, rows)
    silence_transformers()
    recipe = load_recipe(EncoderRecipe, ENCODER)
    encoder = load_encoder(recipe)

    def reference(rows: Sequence[Row]) -> list[float]:
        cosines = []
        for row in rows:
            two = [row["response"], row["aligned_response"]]
            first, second = encoder.encode(two, show_progress_bar=False)
            cosines.append(util.cos_sim(first, second).item())
        return cosines

    def ours(rows: Sequence[Row]) -> list[float]:
        return cosine_similarities(
            encoder,
            [row["response"] for row in rows],
            [row["aligned_response"] for row in rows],
            recipe.batch_size,
        )

    rates, theirs, own = compare(made, reference, ours)
    difference = max(abs(a - b) for a, b in zip(theirs, own, strict=True))
    return {
        "texts": Figure(source),
        "pairs": Figure(len(made)),
        "reference, pairs/s": Figure(rates["reference, rows/s"]),
        "ours, pairs/s": Figure(rates["ours, rows/s"]),
        "ratio": Figure(rates["ratio"], at_least(1.4)),
        "largest difference of cosines": Figure(difference, at_most(1e-4)),
    }
