"""The tables of an evaluation: win rates, categories, ablations, thresholds and paired tests.

Each table has two functions. One returns numbers for the CSV, one line for each estimate, in the
order of the comparisons. The other returns them as sections of text.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict

import pandas as pd

from aligners.configuration.systems import SQUAD
from aligners.core import formats
from aligners.core.rows import Row
from aligners.statistics.intervals import NO_ESTIMATE
from aligners.statistics.table_files import Section

CELL = ["dataset", "llm", "backbone", "system", "reference"]
ESTIMATE = ["value", "low", "high", "n"]
RATES = ["win_rate", "length_controlled", "harm_rate", "copy_rate", "flip_rate"]
THRESHOLDS = ["offset", "acted", "changed", "win_rate", "low", "high", "n"]
PAIRED = ["dataset", "llm", "backbone", "reference", "first", "second"]
OPPONENTS = ["dataset", "llm", "reference"]
WIN_RATE = {"value": "win_rate"}


def squad_lines(table: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of the squad, the only system in the tables that the paper has too."""
    return table[table["system"] == SQUAD.name]


def sections_by(
    table: pd.DataFrame, keys: Sequence[str], as_text: Callable[[pd.DataFrame], pd.DataFrame]
) -> list[Section]:
    """Return a section for each combination of the keys; its title names the combination."""
    groups = table.groupby(list(keys), sort=False)
    return [Section(section_title(keys, names), as_text(group)) for names, group in groups]


def section_title(keys: Sequence[str], names: tuple[str, ...]) -> str:
    """Return the title of a section: its names, and the reference after "against"."""
    listed = ", ".join(name for key, name in zip(keys, names, strict=True) if key != "reference")
    return f"{listed} against {names[-1]}" if keys[-1] == "reference" else listed


def pivot(
    table: pd.DataFrame, texts: Sequence[str], rows: Sequence[str], column: str
) -> pd.DataFrame:
    """Arrange the texts of a table's lines: a row for each combination of `rows`, by `column`."""
    wide = table.assign(text=texts).set_index([*rows, column])["text"].unstack(column, sort=False)
    return wide.fillna(formats.MISSING).rename_axis(columns=None).reset_index()


def pivot_backbones(table: pd.DataFrame, rows: Sequence[str]) -> pd.DataFrame:
    """Return win rates with their intervals and n, in a column for each backbone."""
    rates = table.rename(columns={"win_rate": "value"}).to_dict("records")
    return pivot(table, [formats.rate_with_n(rate) for rate in rates], rows, "backbone")


# Numbers


def win_rates(comparisons: Iterable[Row]) -> pd.DataFrame:
    """Return the win rate of every comparison."""
    rows = [{**row, **row["win_rate"]} for row in comparisons]
    return pd.DataFrame(rows, columns=[*CELL, *ESTIMATE]).rename(columns=WIN_RATE)


def categories(comparisons: Iterable[Row]) -> pd.DataFrame:
    """Return the win rate of every comparison in each category."""
    rows = [
        {**row, "category": name, **estimate}
        for row in comparisons
        for name, estimate in row["by_category"].items()
    ]
    return pd.DataFrame(rows, columns=[*CELL, "category", *ESTIMATE]).rename(columns=WIN_RATE)


def ablations(comparisons: Iterable[Row]) -> pd.DataFrame:
    """Return all rates of every comparison; `reason` explains a missing length-controlled rate."""
    rows = []
    for row in comparisons:
        controlled = row["length_controlled"]
        estimates = {**row, "length_controlled": controlled["rate"] or asdict(NO_ESTIMATE)}
        for name in RATES:
            reason = controlled["reason"] if name == "length_controlled" else None
            rows.append({**row, "rate": name, **estimates[name], "reason": reason})
    return pd.DataFrame(rows, columns=[*CELL, "rate", *ESTIMATE, "reason"])


def thresholds(curves: Iterable[tuple[Mapping[str, str], pd.DataFrame]]) -> pd.DataFrame:
    """Return all threshold curves in one table.

    Args:
        curves: for each curve, its `dataset`, `llm` and `backbone`, and the table of its file.
    """
    empty = pd.DataFrame(columns=["dataset", "llm", "backbone", *THRESHOLDS])
    tables = [curve.assign(**place)[empty.columns] for place, curve in curves]
    return pd.concat(tables) if tables else empty


def paired_tests(tests: Iterable[tuple[Mapping[str, str], Sequence[Row]]]) -> pd.DataFrame:
    """Return all paired tests, one in each line.

    Args:
        tests: for each file, its `dataset` and `llm`, and its list of tests.
    """
    rows = [{**place, **row, **row["difference"]} for place, listed in tests for row in listed]
    table = pd.DataFrame(rows, columns=[*PAIRED, *ESTIMATE, "p_value", "adjusted"])
    return table.rename(columns={"value": "difference"})


# Texts


def win_rate_sections(table: pd.DataFrame) -> list[Section]:
    """Return the paper's table of the squad: data set, LLM and reference by backbone."""
    squad = squad_lines(table)
    if squad.empty:
        return []
    return [Section("The squad, by backbone", pivot_backbones(squad, OPPONENTS))]


def category_sections(table: pd.DataFrame) -> list[Section]:
    """Return the squad's rates with a row for each category and a column for each backbone."""
    return sections_by(
        squad_lines(table), OPPONENTS, lambda group: pivot_backbones(group, ["category"])
    )


def ablation_sections(table: pd.DataFrame) -> list[Section]:
    """Return a row for each backbone and system: all rates, and the n of the win rate."""

    def rates(group: pd.DataFrame) -> pd.DataFrame:
        texts = [formats.rate(line) for line in group.to_dict("records")]
        wide = pivot(group, texts, ["backbone", "system"], "rate")
        n = group.loc[group["rate"] == "win_rate", "n"].astype(str).to_list()
        return wide.rename(columns=lambda name: name.replace("_", " ")).assign(n=n)

    return sections_by(table, OPPONENTS, rates)


def threshold_sections(table: pd.DataFrame) -> list[Section]:
    """Return a row for each offset of the thresholds, in a section for each backbone."""
    return row_sections(
        table,
        ["dataset", "llm", "backbone"],
        lambda row: {
            "offset": f"{row['offset']:g}",
            "acted": formats.percent(row["acted"]),
            "changed": formats.percent(row["changed"]),
            "win rate": formats.rate({**row, "value": row["win_rate"]}),
            "n": f"{row['n']:.0f}",
        },
    )


def paired_test_sections(table: pd.DataFrame) -> list[Section]:
    """Return a row for each test, in a section for each data set and LLM."""
    return row_sections(
        table,
        ["dataset", "llm"],
        lambda row: {
            **{key: row[key] for key in PAIRED[2:]},
            "difference": formats.points_with_interval({**row, "value": row["difference"]}),
            "n": str(row["n"]),
            "p": p_text(row["p_value"]),
            "adjusted p": p_text(row["adjusted"]),
        },
    )


def row_sections(
    table: pd.DataFrame, keys: Sequence[str], as_text: Callable[[Row], Row]
) -> list[Section]:
    """Return a section for each combination of the keys, with each line of the table as text."""
    return sections_by(
        table, keys, lambda group: pd.DataFrame(map(as_text, group.to_dict("records")))
    )


def p_text(value: float) -> str:
    """Return a p-value with three decimals; without `<`, which LaTeX prints as another sign."""
    return "below 0.001" if value < 0.001 else f"{value:.3f}"
