"""What the page says of the squads: who acted, kept, refused; answers before and after."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aligners.report.changes import marked_changes
from aligners.report.data_section import choose
from aligners.rows import Row, read_rows
from aligners.show import verdict

# Rows of before and after on the page, over all files.
ROWS = 400
FEWEST_ROWS = 20


def squad_section(aligned: Sequence[Path], seed: int) -> list[dict[str, Any]]:
    """Return who acted and some rows, for each file of a squad's answers.

    Args:
        aligned: `{dataset}/{llm}/{backbone}/{system}.jsonl` of the squads.
        seed: decides which rows are shown.
    """
    wanted = max(FEWEST_ROWS, ROWS // max(1, len(aligned)))
    sections = []
    for path in aligned:
        dataset, llm, backbone = path.parts[-4:-1]
        rows = read_rows(path)
        sections.append(
            {
                "dataset": dataset,
                "llm": llm,
                "backbone": backbone,
                "system": path.stem,
                "rows": len(rows),
                "changed": sum(row["aligned_response"] != row["response"] for row in rows),
                "turns": sorted(Counter(len(row["trace"]) for row in rows).items()),
                "criteria": turns_by_criterion(rows),
                "examples": [example(row) for row in choose(rows, wanted, seed)],
            }
        )
    return sections


def turns_by_criterion(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return for each criterion on how many answers its aligner acted, and what came of it.

    An answer counts as kept if one of the aligner's corrections was; `before` and `after` are the
    mean scores by the criterion's inspector over its turns, None where there were none.
    """
    scored: dict[str, list[tuple[float, float]]] = {}
    kept: Counter[str] = Counter()
    acted: Counter[str] = Counter()
    for row in rows:
        for turn in row["trace"]:
            for criterion in turn["before"]:
                scored.setdefault(criterion, [])
            before = turn["before"][turn["criterion"]]
            scored[turn["criterion"]].append((before, turn["after"]))
        acted.update({turn["criterion"] for turn in row["trace"]})
        kept.update({turn["criterion"] for turn in row["trace"] if turn["accepted"]})
    return [
        {
            "criterion": criterion,
            "kept": kept[criterion],
            "refused": acted[criterion] - kept[criterion],
            "idle": len(rows) - acted[criterion],
            "before": mean([before for before, _ in scores]),
            "after": mean([after for _, after in scores]),
        }
        for criterion, scores in scored.items()
    ]


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, or None of nothing."""
    return sum(values) / len(values) if values else None


def example(row: Row) -> dict[str, Any]:
    """Return a row for the table of answers: the words marked that changed, and the turns."""
    return {
        "question": row["question"],
        **marked_changes(row["response"], row["aligned_response"]),
        "turns": [
            {"criterion": turn["criterion"], "verdict": verdict(turn), "accepted": turn["accepted"]}
            for turn in row["trace"]
        ],
    }
