"""The scorecard: how good everything is, measured where the truth is known.

Rates are given as value, 95% interval (Wilson 1927) and n.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from scipy.stats import binomtest

from aligners.closed_world.truth import Truth
from aligners.core.rows import Row

UNPARSABLE = {"no_critique", "no_correction", "cut_off"}
FILTER_REASONS = [
    "unparsable",
    "leaked_prompt",
    "markup",
    "code",
    "language",
    "empty",
    "no_content",
]

Rate = dict[str, float | int | None]


def rate(verdicts: Iterable[bool]) -> Rate:
    """Return the share of true verdicts with its 95% Wilson interval and n."""
    results = list(verdicts)
    if not results:
        return {"value": None, "low": None, "high": None, "n": 0}
    test = binomtest(sum(results), len(results))
    interval = test.proportion_ci(0.95, method="wilson")
    return {
        "value": round(sum(results) / len(results), 4),
        "low": round(float(interval.low), 4),
        "high": round(float(interval.high), 4),
        "n": len(results),
    }


def filter_scores(
    truth: Truth, kept: Iterable[Row], dropped: Iterable[Row], seed: int
) -> dict[str, dict[str, float | int | None]]:
    """Return precision and recall of each filter, against the defects that the teacher planted.

    `kept` and `dropped` are all pairs that the teacher wrote, each where cleaning put it; n counts
    the planted defects. A row counts as found only if it was dropped for the right reason.
    """
    planted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    hits: Counter[str] = Counter()
    # A question on several sides of the split leaves before the filters see it.
    seen = [row for row in dropped if row["reason"] != "near_several_splits"]
    for row in [*kept, *seen]:
        defect = truth.planted_pair(row["question"], row["criterion"], seed)
        reason = row.get("reason")
        reason = "unparsable" if reason in UNPARSABLE else reason
        planted[str(defect)] += 1
        found[str(reason)] += 1
        hits[str(reason)] += reason == defect
    return {
        reason: {
            "precision": round(hits[reason] / found[reason], 4) if found[reason] else None,
            "recall": round(hits[reason] / planted[reason], 4) if planted[reason] else None,
            "n": planted[reason],
        }
        for reason in FILTER_REASONS
    }


def trained_items(truth: Truth, splits: Iterable[Row]) -> set[str]:
    """Return the ids of the items that a training question asks for."""
    items = (truth.identify(row["question"]) for row in splits if row["split"] == "train")
    return {item.id for item in items if item}


def is_clean(truth: Truth, criteria: Sequence[str], question: str, answer: str) -> bool:
    """Tell whether an answer keeps to all criteria that the world knows."""
    verdicts = truth.assess(question, answer)
    return all(verdicts[criterion] for criterion in criteria if criterion in verdicts)


def system_scores(
    truth: Truth,
    criteria: Sequence[str],
    initial: Sequence[Row],
    systems: Mapping[str, Mapping[str, str]],
) -> dict[str, dict[str, Rate]]:
    """Return the share of clean answers of each system, and the harm rate of each that corrects.

    `systems` maps a system's name to its answers by row id; `finetuned` corrects nothing. The harm
    rate is the share of the initially clean answers that the system made unclean.
    """
    clean = {
        row["id"]: is_clean(truth, criteria, row["question"], row["response"]) for row in initial
    }
    shares, harm = {"initial": rate(clean.values())}, {}
    for name, answers in systems.items():
        verdicts = {
            row["id"]: is_clean(truth, criteria, row["question"], answers[row["id"]])
            for row in initial
        }
        shares[name] = rate(verdicts.values())
        if name != "finetuned":
            harm[name] = rate(not verdicts[key] for key, was_clean in clean.items() if was_clean)
    return {"clean_share": shares, "harm_rate": harm}


def known_and_unknown(
    truth: Truth,
    criteria: Sequence[str],
    known: set[str],
    initial: Sequence[Row],
    systems: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Return the scores on known facts, and those on facts never trained on as `unknown_facts`."""
    items = {row["id"]: truth.identify(row["question"]) for row in initial}
    trained = [row for row in initial if (item := items[row["id"]]) and item.id in known]
    untrained = [row for row in initial if (item := items[row["id"]]) and item.id not in known]
    return {
        **system_scores(truth, criteria, trained, systems),
        "unknown_facts": system_scores(truth, criteria, untrained, systems),
    }
