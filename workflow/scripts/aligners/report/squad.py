"""The squad section of the page: kept and rejected corrections, their reasons, and examples."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aligners.configuration import results
from aligners.configuration.experiment import Experiment
from aligners.core.reasons import ROW_REASONS, TURN_REASONS
from aligners.core.rows import Row
from aligners.correction.corrections_file import read_corrections
from aligners.correction.trace import WORDS, describe_turn, hides_text
from aligners.judging.thresholds import check_squad
from aligners.report.changes import mark_changes
from aligners.report.data import choose
from aligners.statistics.verdicts import TIE, preferences, read_verdicts

# Example rows on the page, in total and at least for each squad.
MAX_ROWS = 400
MIN_ROWS = 20


def squads_section(experiment: Experiment) -> list[dict[str, Any]]:
    """Return counts of turns and example rows for each file of a squad's corrections.

    The first judge's verdicts determine which responses became worse. The experiment's seed
    determines the examples.
    """
    aligned = results.ALIGNED.combinations({**experiment.names, "system": experiment.squads})
    wanted = max(MIN_ROWS, MAX_ROWS // max(1, len(aligned)))
    seed, judges = experiment.config.seed, experiment.names["judge"]
    sections = []
    for names in aligned:
        path = results.ALIGNED.path(**names)
        rows = read_corrections(path, needs=("aligned_response", "scores", "trace"))
        check_squad(rows, path)
        worse = judged_worse(judges[0], names) if judges else set()
        sections.append(
            {
                **names,
                "rows": len(rows),
                "changed": sum(row["aligned_response"] != row["response"] for row in rows),
                "turns": sorted(Counter(len(row["trace"]) for row in rows).items()),
                "criteria": turns_by_criterion(rows),
                "reasons": count_reasons(rows),
                "examples": [
                    {**example(row), "worse": row["id"] in worse}
                    for row in rejected_first(rows, wanted, seed)
                ],
            }
        )
    return sections


def judged_worse(judge: str, names: Mapping[str, str]) -> set[str]:
    """Return the ids of the rows whose response the judge prefers to the squad's correction."""
    path = results.VERDICTS.path(judge=judge, reference="base", **names)
    verdicts = read_verdicts(path)
    return set(verdicts["id"][preferences(verdicts) < TIE])


def rejected_first(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """Return a sample of rows, first those with a rejected correction, which are rare."""
    rejected = [row for row in rows if not all(turn["accepted"] for turn in row["trace"])]
    others = [row for row in rows if all(turn["accepted"] for turn in row["trace"])]
    chosen = choose(rejected, count, seed)
    return chosen + choose(others, count - len(chosen), seed)


def turns_by_criterion(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return for each criterion on how many responses its aligner acted, and with what outcome.

    A response counts as `kept` if at least one of the aligner's corrections was accepted. `before`
    and `after` are mean scores of the criterion's inspector over its turns with a scored
    correction; None without such a turn.
    """
    scored: dict[str, list[tuple[float, float]]] = {
        criterion: [] for row in rows for criterion in row["scores"]
    }
    kept: Counter[str] = Counter()
    acted: Counter[str] = Counter()
    for row in rows:
        for turn in row["trace"]:
            criterion = turn["criterion"]
            if turn["after"] is not None:
                pair = turn["before"][criterion], turn["after"][criterion]
                scored.setdefault(criterion, []).append(pair)
        acted.update({turn["criterion"] for turn in row["trace"]})
        kept.update({turn["criterion"] for turn in row["trace"] if turn["accepted"]})
    return [
        {
            "criterion": criterion,
            "kept": kept[criterion],
            "rejected": acted[criterion] - kept[criterion],
            "idle": len(rows) - acted[criterion],
            "before": mean([before for before, _ in scores]),
            "after": mean([after for _, after in scores]),
        }
        for criterion, scores in scored.items()
    ]


def count_reasons(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return each reason that occurs, in words, with its numbers of turns and of rows without."""
    turns = Counter(turn["reason"] for row in rows for turn in row["trace"])
    left_alone = Counter(row["reason"] for row in rows if not row["trace"])
    return [
        {
            "reason": reason,
            "words": WORDS[reason],
            "turns": turns[reason],
            "rows": left_alone[reason],
        }
        for reason in dict.fromkeys((*TURN_REASONS, *ROW_REASONS))
        if turns[reason] or left_alone[reason]
    ]


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, or None if there are no values."""
    return sum(values) / len(values) if values else None


def example(row: Row) -> dict[str, Any]:
    """Return a row of the table of examples, with the changed words marked, and its turns.

    `idle` describes why the row has no turns; a turn has the text that it `wrote` if it was
    rejected.
    """
    return {
        "id": row["id"],
        "category": row["category"],
        "question": row["question"],
        **mark_changes(row["response"], row["aligned_response"]),
        "idle": WORDS.get(row["reason"]),
        "turns": [
            {
                "criterion": turn["criterion"],
                "verdict": describe_turn(turn),
                "accepted": turn["accepted"],
                "wrote": None if hides_text(turn) else turn["aligned_response"],
            }
            for turn in row["trace"]
        ],
    }
