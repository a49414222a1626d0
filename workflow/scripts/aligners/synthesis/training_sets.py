"""The training sets of aligners and inspectors, made of cleaned pairs and the split.

A criterion can have a million pairs. So the rows are chosen by the ids of the pairs, and each pair
is read again when its row is written.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from aligners.core.rows import Row, RowFile, row_id
from aligners.synthesis.own_data import provenance
from aligners.synthesis.sides import SPLITS, missing_question, read_sides

Item = TypeVar("Item")

# What the training sets need of a pair.
PAIR_FIELDS = ("id", "question", "response", "aligned_response")


class PairPlace(NamedTuple):
    """A pair by its id, its place in its file, and whether it is an identity pair."""

    id: str
    place: int
    identity: bool


class AlignerRowPlan(NamedTuple):
    """A row of an aligner set before it is read: its pair, and whether it is an identity row."""

    pair: PairPlace
    identity: bool

    @property
    def id(self) -> str:
        """The id of the row."""
        return row_id(self.pair.id, "identity" if self.identity else "correction")


def is_identity(pair: Row) -> bool:
    """Return whether a pair's correction equals its response, ignoring white space."""
    return bool(pair["response"].split() == pair["aligned_response"].split())


def pair_places(pairs: RowFile) -> Iterator[tuple[PairPlace, Row]]:
    """Yield the place of each pair, and the pair."""
    for place, pair in pairs.places():
        yield PairPlace(pair["id"], place, is_identity(pair)), pair


def plan_aligner_rows(
    pairs: Iterable[PairPlace], share: float, limit: int | None, seed: int
) -> Iterator[tuple[AlignerRowPlan, str | None]]:
    """Yield aligner rows of which `share` (0 to 0.5) are identity rows (y' = y).

    Pairs whose correction equals the response become identity rows first. If they are too few,
    corrections of other pairs also serve as responses. If they are too many, a seeded sample is
    kept. In Ji et al. (arXiv 2402.02416), a share of 20% was best.

    Yields:
        Each row with the reason to drop it, or None. At most `limit` rows are kept.
    """
    ordered = sorted(pairs, key=lambda pair: row_id(str(seed), pair.id))
    corrections = [pair for pair in ordered if not pair.identity]
    identities = [pair for pair in ordered if pair.identity]
    wanted = round(share / (1 - share) * len(corrections))
    sources = [*identities, *corrections[: max(0, wanted - len(identities))]]
    rows = [AlignerRowPlan(pair, identity=False) for pair in corrections]
    rows += [AlignerRowPlan(pair, identity=True) for pair in sources[:wanted]]
    kept, others = sample(rows, limit, seed, attrgetter("id"))
    yield from ((row, None) for row in kept)
    yield from ((AlignerRowPlan(pair, True), "identity_surplus") for pair in sources[wanted:])
    yield from ((row, "over_limit") for row in others)


def aligner_row(pair: Row, plan: AlignerRowPlan) -> Row:
    """Return a row of an aligner's training set; in an identity row, the input is the correction.

    `pair` is the pair of the plan.
    """
    return {
        "id": plan.id,
        "question": pair["question"],
        "response": pair["aligned_response" if plan.identity else "response"],
        "aligned_response": pair["aligned_response"],
        "identity": plan.identity,
        **provenance(pair),
    }


def inspector_rows(pair: Row) -> list[Row]:
    """Return the rows of a pair: the response has label 0, the correction label 1.

    The response of an identity pair has label 1: an inspector must also see good first responses,
    and not only corrections.
    """
    fields = {0: "response", 1: "aligned_response"}
    if is_identity(pair):
        del fields[0]
    return [
        {
            "id": row_id(pair["id"], str(label)),
            "question_id": pair["id"],
            "question": pair["question"],
            "response": pair[field],
            "label": label,
            **provenance(pair),
        }
        for label, field in fields.items()
    ]


def labelled_row(row: Row) -> Row:
    """Return the row of an inspector's training set of an imported row with a label."""
    fields = ("question_id", "question", "response", "label")
    return {
        "id": row_id(row["id"], "label"),
        **{name: row[name] for name in fields},
        **provenance(row),
    }


def preference_reason(pair: Row, least_similarity: Mapping[str, float]) -> str | None:
    """Return the reason why an aligner is not trained on a pair that is a preference, or None.

    Args:
        pair: with its `similarity`, if a bound is given.
        least_similarity: bound of the similarity by import; without one, preferences train
            inspectors alone (`preference`). Below it, the pair is `dissimilar`.
    """
    if pair.get("kind") != "preferences":
        return None
    least = least_similarity.get(pair["source"])
    if least is None:
        return "preference"
    return "dissimilar" if pair["similarity"] < least else None


def by_split(pairs: Iterable[PairPlace], split: Path) -> dict[str, list[PairPlace]]:
    """Group pairs by the side of their question in the file `split`.

    Raises:
        UserError: the file has no row of a question.
    """
    side_by_id = read_sides(split)
    sides: dict[str, list[PairPlace]] = {side: [] for side in SPLITS}
    for pair in pairs:
        if pair.id not in side_by_id:
            raise missing_question(split, pair.id)
        sides[side_by_id[pair.id]].append(pair)
    return sides


def sample(
    rows: Sequence[Item],
    limit: int | None,
    seed: int,
    id_of: Callable[[Any], str] = itemgetter("id"),
) -> tuple[list[Item], list[Item]]:
    """Return a seeded sample of at most `limit` rows, and the other rows."""
    if limit is None or len(rows) <= limit:
        return list(rows), []
    ordered = sorted(rows, key=lambda row: row_id(str(seed), id_of(row)))
    return ordered[:limit], ordered[limit:]
