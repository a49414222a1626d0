"""The training sets of aligners and inspectors, made of cleaned pairs and the split."""

from collections.abc import Mapping, Sequence

from aligners.core.counts import Sieve
from aligners.core.rows import Row, row_id, seeded_order

# The sides of the split, and the files of a training set.
SPLITS = ("train", "validation", "test")


def is_identity(pair: Row) -> bool:
    """Return whether a pair's correction equals its response, ignoring white space."""
    return bool(pair["response"].split() == pair["aligned_response"].split())


def aligner_row(pair: Row, response: str) -> Row:
    """Return a row of an aligner's training set: `response` is its input for the pair."""
    identity = response == pair["aligned_response"]
    return {
        "id": row_id(pair["id"], "identity" if identity else "correction"),
        "question": pair["question"],
        "response": response,
        "aligned_response": pair["aligned_response"],
        "identity": identity,
    }


def with_identity_share(pairs: Sequence[Row], share: float, seed: int) -> Sieve:
    """Return aligner rows of which `share` (0 to 0.5) are identity rows (y' = y).

    Pairs whose correction equals the response become identity rows first. If they are too few,
    corrections of other pairs also serve as responses. If they are too many, a seeded sample is
    kept. In Ji et al. (arXiv 2402.02416), a share of 20% was best.
    """
    ordered = sorted(pairs, key=lambda pair: seeded_order(pair, seed))
    corrections = [pair for pair in ordered if not is_identity(pair)]
    identities = [pair for pair in ordered if is_identity(pair)]
    wanted = round(share / (1 - share) * len(corrections))
    sieve = Sieve()
    for pair in corrections:
        sieve.keep(aligner_row(pair, pair["response"]))
    for position, pair in enumerate([*identities, *corrections][: max(wanted, len(identities))]):
        row = aligner_row(pair, pair["aligned_response"])
        sieve.put(row, "identity_surplus" if position >= wanted else None)
    return sieve


def drop_near_copies(pairs: Sequence[Row], near_copy_similarity: float) -> Sieve:
    """Drop identity pairs, and pairs with a similarity of at least `near_copy_similarity`.

    In such a pair, two almost equal texts would get different labels.
    """
    sieve = Sieve()
    for pair in pairs:
        is_near_copy = is_identity(pair) or pair["similarity"] >= near_copy_similarity
        sieve.put(pair, "near_copy" if is_near_copy else None)
    return sieve


def inspector_rows(pair: Row) -> list[Row]:
    """Return the two rows of a pair: the response has label 0, the correction label 1."""
    return [
        {
            "id": row_id(pair["id"], str(label)),
            "question_id": pair["id"],
            "question": pair["question"],
            "response": pair[field],
            "label": label,
        }
        for label, field in enumerate(("response", "aligned_response"))
    ]


def by_split(rows: Sequence[Row], split: Mapping[str, Row]) -> dict[str, list[Row]]:
    """Group rows by the side of their question. `split` has the rows of the split by id."""
    sides: dict[str, list[Row]] = {side: [] for side in SPLITS}
    for row in rows:
        sides[split[row["id"]]["split"]].append(row)
    return sides


def sample(rows: Sequence[Row], limit: int | None, seed: int) -> tuple[list[Row], list[Row]]:
    """Return a seeded sample of at most `limit` rows, and the other rows."""
    if limit is None or len(rows) <= limit:
        return list(rows), []
    ordered = sorted(rows, key=lambda row: seeded_order(row, seed))
    return ordered[:limit], ordered[limit:]
