"""The tables of an evaluation: what comparisons, paired tests and threshold curves come to.

A builder of numbers gives one line for each estimate, for the CSV; a builder of sections shapes
these for reading. Lines keep the order in which the comparisons were given.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from aligners.core.rows import Row
from aligners.statistics.table_files import (
    EMPTY,
    Section,
    counted_rate_text,
    percent,
    rate_text,
)

SQUAD = "squad"
CELL = ["dataset", "llm", "backbone", "system", "reference"]
ESTIMATE = ["value", "low", "high", "n"]
RATES = ["win_rate", "length_controlled", "harm_rate", "copy_rate", "flip_rate"]
THRESHOLDS = ["threshold", "acted", "changed", "win_rate", "low", "high", "n"]
PAIRED = ["dataset", "llm", "backbone", "reference", "first", "second"]
WIN_RATE = {"value": "win_rate"}
MISSING = dict.fromkeys(ESTIMATE[:3]) | {"n": 0}


def of_the_squad(table: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of the squad: the tables in the paper's shape have no other system."""
    return table[table["system"] == SQUAD]


def sections_by(
    table: pd.DataFrame, keys: Sequence[str], shape: Callable[[pd.DataFrame], pd.DataFrame]
) -> list[Section]:
    """Return a section for each combination of the keys, which is its title, shaped for reading."""
    groups = table.groupby(list(keys), sort=False)
    return [Section(title(keys, names), shape(group)) for names, group in groups]


def title(keys: Sequence[str], names: tuple[str, ...]) -> str:
    """Return the title of a section: its names, and the reference after "against"."""
    listed = ", ".join(name for key, name in zip(keys, names, strict=True) if key != "reference")
    return f"{listed} against {names[-1]}" if keys[-1] == "reference" else listed


def beside(table: pd.DataFrame, rows: Sequence[str]) -> pd.DataFrame:
    """Return rates with their intervals and n in a column for each backbone."""
    rates = table.rename(columns={"win_rate": "value"}).to_dict("records")
    texts = table.assign(text=[counted_rate_text(rate) for rate in rates])
    wide = texts.set_index([*rows, "backbone"])["text"].unstack("backbone", sort=False)
    return wide.fillna(EMPTY).rename_axis(columns=None).reset_index()


# Win rates


def win_rates(comparisons: Iterable[Row]) -> pd.DataFrame:
    """Return the win rate of every comparison."""
    rows = [{**cell(row), **row["win_rate"]} for row in comparisons]
    return pd.DataFrame(rows, columns=[*CELL, *ESTIMATE]).rename(columns=WIN_RATE)


def win_rate_sections(table: pd.DataFrame) -> list[Section]:
    """Return the paper's table of the squad: data set, LLM and reference by backbone."""
    squad = of_the_squad(table)
    if squad.empty:
        return []
    return [Section("The squad, by backbone", beside(squad, ["dataset", "llm", "reference"]))]


def cell(row: Mapping[str, Any]) -> dict[str, str]:
    """Return which comparison a row is about."""
    return {key: row[key] for key in CELL}


# Categories


def categories(comparisons: Iterable[Row]) -> pd.DataFrame:
    """Return the win rate of every comparison in each category."""
    rows = [
        {**cell(row), "category": name, **estimate}
        for row in comparisons
        for name, estimate in row["by_category"].items()
    ]
    table = pd.DataFrame(rows, columns=[*CELL, "category", *ESTIMATE])
    return table.rename(columns=WIN_RATE)


def category_sections(table: pd.DataFrame) -> list[Section]:
    """Return the squad's rates with a row for each category and a column for each backbone."""
    return sections_by(
        of_the_squad(table),
        ["dataset", "llm", "reference"],
        lambda group: beside(group, ["category"]),
    )


# Ablations


def ablations(comparisons: Iterable[Row]) -> pd.DataFrame:
    """Return all rates of every comparison; `reason`: why there is no length-controlled one."""
    rows = []
    for row in comparisons:
        controlled = row["length_controlled"]
        estimates = {**row, "length_controlled": controlled["rate"] or MISSING}
        for name in RATES:
            reason = controlled["reason"] if name == "length_controlled" else None
            rows.append({**cell(row), "rate": name, **estimates[name], "reason": reason})
    return pd.DataFrame(rows, columns=[*CELL, "rate", *ESTIMATE, "reason"])


def ablation_sections(table: pd.DataFrame) -> list[Section]:
    """Return a row for each backbone and system, with a column for each rate."""
    return sections_by(table, ["dataset", "llm", "reference"], rates_beside)


def rates_beside(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rates of one line each in a column each, and the n of the win rate."""
    rows = []
    for (backbone, system), group in table.groupby(["backbone", "system"], sort=False):
        estimates = {row["rate"]: row for row in group.to_dict("records")}
        texts = {name.replace("_", " "): rate_text(estimates[name]) for name in RATES}
        n = str(estimates["win_rate"]["n"])
        rows.append({"backbone": backbone, "system": system, **texts, "n": n})
    return pd.DataFrame(rows)


# Thresholds


def thresholds(curves: Iterable[tuple[Mapping[str, str], pd.DataFrame]]) -> pd.DataFrame:
    """Return the threshold curves one below the other.

    Args:
        curves: for each its `dataset`, `llm` and `backbone`, and the table of its file.
    """
    names = ["dataset", "llm", "backbone"]
    tables = [curve.assign(**place)[[*names, *THRESHOLDS]] for place, curve in curves]
    return pd.concat(tables) if tables else pd.DataFrame(columns=[*names, *THRESHOLDS])


def threshold_sections(table: pd.DataFrame) -> list[Section]:
    """Return a row for each threshold, in a section for each backbone."""
    return sections_by(table, ["dataset", "llm", "backbone"], curve_texts)


def curve_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Return a threshold curve as texts."""
    return pd.DataFrame(
        [
            {
                "threshold": f"{row['threshold']:g}",
                "acted": percent(row["acted"]),
                "changed": percent(row["changed"]),
                "win rate": rate_text({**row, "value": row["win_rate"]}),
                "n": f"{row['n']:.0f}",
            }
            for row in table.to_dict("records")
        ]
    )


# Paired tests


def paired_tests(tests: Iterable[tuple[Mapping[str, str], Sequence[Row]]]) -> pd.DataFrame:
    """Return all paired tests, one a line.

    Args:
        tests: for each file its `dataset` and `llm`, and its list.
    """
    rows = [{**place, **row, **row["difference"]} for place, listed in tests for row in listed]
    return pd.DataFrame(rows, columns=[*PAIRED, *ESTIMATE, "p_value", "adjusted"]).rename(
        columns={"value": "difference"}
    )


def paired_test_sections(table: pd.DataFrame) -> list[Section]:
    """Return a row for each test, in a section for each data set and LLM."""
    return sections_by(table, ["dataset", "llm"], test_texts)


def test_texts(table: pd.DataFrame) -> pd.DataFrame:
    """Return paired tests as texts, the differences in percentage points."""
    rows = []
    for row in table.to_dict("records"):
        points = [f"{100 * row[key]:+.1f}" for key in ("difference", "low", "high")]
        rows.append(
            {
                **{key: row[key] for key in PAIRED[2:]},
                "difference": f"{points[0]} ({points[1]} to {points[2]})",
                "n": str(row["n"]),
                "p": p_text(row["p_value"]),
                "adjusted p": p_text(row["adjusted"]),
            }
        )
    return pd.DataFrame(rows)


def p_text(value: float) -> str:
    """Return a p-value with three digits after the point; LaTeX would misprint a `<`."""
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
