"""The scorecard: scores of inspectors, filters and systems, measured against the known truth.

A rate is given with its 95% interval (Wilson 1927) and n.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aligners.closed_world.plans import PLANTED, WRAPPINGS
from aligners.closed_world.scorecard_file import InspectorScores
from aligners.closed_world.truth import Truth
from aligners.closed_world.world import CRITERIA, load_world
from aligners.configuration import results
from aligners.configuration.kinds.llms import ClosedWorldRecipe, LLMRecipe
from aligners.configuration.recipes import load_recipe
from aligners.configuration.scored_results import ScoredResults
from aligners.core.errors import UserError
from aligners.core.rates import Rate, rate
from aligners.core.rows import Row, read_json, read_rows

# Reasons of rows without a pair, and of pairs that the filters do not see.
NOT_FILTERED = {"no_response", "near_several_splits"}
UNPARSABLE = {"no_critique", "no_correction", "cut_off"}
INSPECTOR_METRICS = ("accuracy", "roc_auc", "ece", "n")
# What the scores of the filters need of a pair.
PAIR_FIELDS = ("id", "criterion", "question")


def load_truth(teacher: str, criteria: Sequence[str]) -> Truth:
    """Return the truth of the world that the teacher's recipe names.

    Raises:
        UserError: there is no teacher, it is not of the closed world, or none of the criteria is.
    """
    if not teacher:
        raise UserError(
            "teacher: there is none, so the truth is unknown; make the scorecard with "
            "config/demo.yaml"
        )
    recipe = load_recipe(LLMRecipe, teacher)
    if not isinstance(recipe, ClosedWorldRecipe):
        raise UserError(
            f"teacher {teacher}: not an LLM of the closed world, so the truth is unknown; "
            "make the scorecard with config/demo.yaml"
        )
    # Without a criterion, all answers would count as clean.
    if not set(criteria) & set(CRITERIA):
        raise UserError(
            f"criteria {', '.join(criteria)}: the closed world knows the truth about "
            f"{', '.join(CRITERIA)} only; make the scorecard with one of these criteria"
        )
    return Truth(load_world(recipe.world))


def scorecard(scored: ScoredResults, truth: Truth, seed: int) -> dict[str, Any]:
    """Return the scores of inspectors, filters, and systems by data set and base LLM."""
    dropped = [
        *scored.rows(results.PAIRS.beside("dropped.jsonl"), (*PAIR_FIELDS, "reason")),
        *scored.rows(results.FILTERED_PAIRS.beside("dropped.jsonl"), (*PAIR_FIELDS, "reason")),
    ]
    kept = scored.rows(results.FILTERED_PAIRS, (*PAIR_FIELDS, "response", "aligned_response"))
    dropped = [row for row in dropped if row["reason"] not in NOT_FILTERED]
    return {
        "inspectors": inspector_scores(scored),
        "filters": filter_scores(truth, kept, dropped, seed),
        "wrapped_pairs": wrapped_scores(truth, kept, dropped, seed),
        "datasets": dataset_scores(scored, truth),
    }


def inspector_scores(scored: ScoredResults) -> dict[str, dict[str, Any]]:
    """Return accuracy, ROC-AUC, calibration error and n of each criterion's inspector."""
    scores = {}
    for criterion in scored.criteria:
        path = results.INSPECTOR_METRICS.path(inspector=scored.inspector, criterion=criterion)
        metrics = read_json(path, InspectorScores)
        scores[criterion] = {key: metrics[key] for key in INSPECTOR_METRICS}
    return scores


def dataset_scores(scored: ScoredResults, truth: Truth) -> dict[str, dict[str, Any]]:
    """Return the scores of systems by data set and base LLM, and of all data sets as `all`."""
    known = trained_items(truth, scored.rows(results.SPLIT, ("id", "question", "split")))
    pools = {name: [name] for name in scored.datasets} | {"all": scored.datasets}
    return {
        pool: {
            llm: scores_by_knowledge(
                truth, scored.criteria, known, *read_pool(scored, datasets, llm)
            )
            for llm in scored.llms
        }
        for pool, datasets in pools.items()
    }


def read_pool(
    scored: ScoredResults, datasets: Sequence[str], llm: str
) -> tuple[list[Row], dict[str, dict[str, str]]]:
    """Return a base LLM's responses to the data sets, and each system's answers by row id."""
    initial: list[Row] = []
    systems: dict[str, dict[str, str]] = defaultdict(dict)
    for dataset in datasets:
        path = results.RESPONSES.path(dataset=dataset, llm=llm)
        responses = read_rows(path, needs=("id", "question", "response"))
        for system, path, field in scored.answer_files(dataset, llm):
            answers = {row["id"]: row[field] for row in read_rows(path, needs=("id", field))}
            if missing := [row["id"] for row in responses if row["id"] not in answers]:
                raise UserError(
                    f"{path}: no row of the question {missing[0]}, which {llm} has responded to; "
                    "delete the file and run again"
                )
            systems[system] |= answers
        initial += responses
    return initial, systems


def filter_scores(
    truth: Truth, kept: Iterable[Row], dropped: Iterable[Row], seed: int
) -> dict[str, dict[str, float | int | None]]:
    """Return precision and recall of each filter, measured against the planted defects.

    Together, `kept` and `dropped` are all pairs that the filters see. A defect counts as found
    only if its row was dropped for this reason, or if the texts were read as without it. Half of
    the defects have forms that the authors of filters have not looked at (`recall_held_out`). n is
    the number of planted defects of each half.
    """
    planted: Counter[tuple[str, bool]] = Counter()
    found: Counter[tuple[str, bool]] = Counter()
    flagged: Counter[str] = Counter()
    correct: Counter[str] = Counter()
    for row in [*kept, *dropped]:
        defect, held_out = truth.planted_pair(*planned_for(row, seed))
        reason = row.get("reason")
        reason = "unparsable" if reason in UNPARSABLE else reason
        planted[str(defect), held_out] += 1
        flagged[str(reason)] += 1
        correct[str(reason)] += reason == defect
        removed = reason is None and is_read_exactly(truth, row, seed)
        found[str(defect), held_out] += reason == defect or removed
    return {
        reason: {
            "precision": share(correct[reason], flagged[reason]),
            "recall": share(found[reason, False], planted[reason, False]),
            "n": planted[reason, False],
            "recall_held_out": share(found[reason, True], planted[reason, True]),
            "n_held_out": planted[reason, True],
        }
        for reason in PLANTED
    }


def planned_for(row: Row, seed: int) -> tuple[str, str, int, str | None]:
    """Return what the plan of a pair depends on; the last is its response if an LLM wrote it."""
    given_response = row["response"] if "response_by" in row else None
    return row["question"], row["criterion"], seed, given_response


def share(part: int, whole: int) -> float | None:
    """Return a share, or None of nothing."""
    return round(part / whole, 4) if whole else None


def wrapped_scores(
    truth: Truth, kept: Iterable[Row], dropped: Iterable[Row], seed: int
) -> dict[str, Rate]:
    """Return how many pairs are read exactly, by what the teacher wrote around them.

    A pair is read exactly if it is kept with the response and the correction that were planned.
    """
    exact: dict[str, list[bool]] = {wrapping: [] for wrapping in WRAPPINGS}
    for row in [*kept, *dropped]:
        plan = truth.planned_pair(*planned_for(row, seed))
        if plan and plan.wrapping:
            read = "reason" not in row and is_read_exactly(truth, row, seed)
            exact[plan.wrapping].append(read)
    return {wrapping: rate(verdicts) for wrapping, verdicts in exact.items()}


def is_read_exactly(truth: Truth, row: Row, seed: int) -> bool:
    """Return whether a pair has the response and the correction that the teacher planned."""
    plan = truth.planned_pair(*planned_for(row, seed))
    if plan is None:
        return False
    planned = (plan.response.text, plan.correction.text)
    return (row["response"], row["aligned_response"]) == planned


def trained_items(truth: Truth, splits: Iterable[Row]) -> set[str]:
    """Return the ids of the items for which a training question asks."""
    items = (truth.identify(row["question"]) for row in splits if row["split"] == "train")
    return {item.id for item in items if item}


def by_knowledge(truth: Truth, known: set[str], rows: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """Return the rows that ask for items of the training data, and those that ask for others.

    `known` has the ids of the items of the training data (`trained_items`).
    """
    found: dict[bool, list[Row]] = {True: [], False: []}
    for row in rows:
        if item := truth.identify(row["question"]):
            found[item.id in known].append(row)
    return found[True], found[False]


def criteria_met(
    truth: Truth, criteria: Sequence[str], question: str, answer: str
) -> dict[str, bool]:
    """Return whether an answer meets each criterion; criteria not of the world are ignored."""
    verdicts = truth.assess(question, answer)
    return {criterion: verdicts[criterion] for criterion in criteria if criterion in verdicts}


def system_scores(
    truth: Truth,
    criteria: Sequence[str],
    initial: Sequence[Row],
    systems: Mapping[str, Mapping[str, str]],
) -> dict[str, dict[str, Any]]:
    """Return each system's share of clean answers, and its harm and the text lost if it corrects.

    `systems` maps a system's name to its answers by row id. The system `finetuned` corrects
    nothing. A clean answer meets all criteria. The harm rate is the share of clean responses whose
    correction is not clean; the harm by criterion is the share of responses that meet the criterion
    and whose correction does not.
    """
    before = {
        row["id"]: criteria_met(truth, criteria, row["question"], row["response"])
        for row in initial
    }
    shares = {"initial": rate(all(met.values()) for met in before.values())}
    harm, harm_by_criterion, text_lost = {}, {}, {}
    for name, answers in systems.items():
        after = {
            row["id"]: criteria_met(truth, criteria, row["question"], answers[row["id"]])
            for row in initial
        }
        shares[name] = rate(all(met.values()) for met in after.values())
        if name != "finetuned":
            harm[name] = rate(
                not all(after[key].values()) for key, met in before.items() if all(met.values())
            )
            harm_by_criterion[name] = {
                criterion: rate(
                    not after[key][criterion] for key, met in before.items() if met.get(criterion)
                )
                for criterion in criteria
            }
            text_lost[name] = rate(
                truth.fillers(row["question"], answers[row["id"]]) < fillers
                for row in initial
                if (fillers := truth.fillers(row["question"], row["response"]))
            )
    return {
        "clean_share": shares,
        "harm_rate": harm,
        "harm_by_criterion": harm_by_criterion,
        "text_lost": text_lost,
    }


def scores_by_knowledge(
    truth: Truth,
    criteria: Sequence[str],
    known: set[str],
    initial: Sequence[Row],
    systems: Mapping[str, Mapping[str, str]],
) -> dict[str, Any]:
    """Return the scores on items of the training data, and on other items as `unknown_facts`.

    `known` has the ids of the items of the training data.
    """
    trained, untrained = by_knowledge(truth, known, initial)
    return {
        **system_scores(truth, criteria, trained, systems),
        "unknown_facts": system_scores(truth, criteria, untrained, systems),
    }
