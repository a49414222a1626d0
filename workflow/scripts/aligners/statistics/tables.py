"""The tables of an evaluation: win rates, categories, ablations, thresholds and paired tests.

Each table has two functions. One returns numbers for the CSV, one line for each estimate, in the
order of the comparisons. The other returns them as sections of text.

With several training seeds, each line also has the mean and the standard deviation over the seeds.
The text gives them beside the estimate of the first seed; paired tests have a row for each seed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict

import pandas as pd

from aligners.configuration.seeds import recipe_of
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
    """Return the first seed's lines of the squad, the only system that the paper has too."""
    lines = first_seed_lines(table)
    return lines[lines["system"] == SQUAD.name]


def first_seed_lines(table: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of the backbones that were trained with the first seed."""
    return table[table["backbone"] == table["backbone"].map(recipe_of)]


def over_seeds(table: pd.DataFrame, value: str, keys: Sequence[str]) -> pd.DataFrame:
    """Add `mean`, `sd` and `seeds` to each line: over the lines that differ in the seed only.

    A table of one training seed is returned unchanged.

    Args:
        table: a line for each estimate.
        value: the column of the estimate. A missing estimate counts for no seed.
        keys: the columns that identify an estimate, with `backbone`, which names the seed.
    """
    if len(first_seed_lines(table)) == len(table):
        return table
    recipes = table.assign(backbone=table["backbone"].map(recipe_of))
    values = recipes[value].astype(float).groupby([recipes[key] for key in keys])
    return table.assign(
        mean=values.transform("mean"), sd=values.transform("std"), seeds=values.transform("count")
    )


def with_seeds(text: str, line: Row) -> str:
    """Return the text of an estimate, followed by the mean over the seeds if there are several."""
    if not line.get("seeds"):
        return text
    return f"{text}; {line['seeds']:.0f} seeds: {formats.spread(line)}"


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
    texts = [with_seeds(formats.rate_with_n(rate), rate) for rate in rates]
    return pivot(table, texts, rows, "backbone")


# Numbers


def win_rates(comparisons: Iterable[Row]) -> pd.DataFrame:
    """Return the win rate of every comparison."""
    rows = [{**row, **row["win_rate"]} for row in comparisons]
    table = pd.DataFrame(rows, columns=[*CELL, *ESTIMATE]).rename(columns=WIN_RATE)
    return over_seeds(table, "win_rate", CELL)


def categories(comparisons: Iterable[Row]) -> pd.DataFrame:
    """Return the win rate of every comparison in each category."""
    rows = [
        {**row, "category": name, **estimate}
        for row in comparisons
        for name, estimate in row["by_category"].items()
    ]
    table = pd.DataFrame(rows, columns=[*CELL, "category", *ESTIMATE]).rename(columns=WIN_RATE)
    return over_seeds(table, "win_rate", [*CELL, "category"])


def ablations(comparisons: Iterable[Row]) -> pd.DataFrame:
    """Return all rates of every comparison; `reason` explains a missing length-controlled rate."""
    rows = []
    for row in comparisons:
        controlled = row["length_controlled"]
        estimates = {**row, "length_controlled": controlled["rate"] or asdict(NO_ESTIMATE)}
        for name in RATES:
            reason = controlled["reason"] if name == "length_controlled" else None
            rows.append({**row, "rate": name, **estimates[name], "reason": reason})
    table = pd.DataFrame(rows, columns=[*CELL, "rate", *ESTIMATE, "reason"])
    return over_seeds(table, "value", [*CELL, "rate"])


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
    return over_seeds(table.rename(columns={"value": "difference"}), "difference", PAIRED)


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
        texts = [with_seeds(formats.rate(line), line) for line in group.to_dict("records")]
        wide = pivot(group, texts, ["backbone", "system"], "rate")
        n = group.loc[group["rate"] == "win_rate", "n"].astype(str).to_list()
        return wide.rename(columns=lambda name: name.replace("_", " ")).assign(n=n)

    return sections_by(first_seed_lines(table), OPPONENTS, rates)


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

    def as_text(row: Row) -> Row:
        mean = {"over seeds": formats.spread(row, formats.points)} if "seeds" in row else {}
        return {
            **{key: row[key] for key in PAIRED[2:]},
            "difference": formats.points_with_interval({**row, "value": row["difference"]}),
            **mean,
            "n": str(row["n"]),
            "p": p_text(row["p_value"]),
            "adjusted p": p_text(row["adjusted"]),
        }

    return row_sections(table, ["dataset", "llm"], as_text)


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
