"""The paper's protocol of evaluation, to compare with the win rates that its code reported.

From the paper: the squad in the paper's order (squad-paper); texts cut at their first full stop; 4
of the 14 categories of BeaverTails-Evaluation; ties dropped; the mean of the categories' rates with
equal weights.

Different here: each question is judged in both orders, and AlpacaEval judges it in one random
order. A tie is a mean preference of exactly 0.5, also where the two orders contradict each other.
So more questions are dropped as ties, the doubtful ones, and rates are further from one half. Rates
have an interval and n. The judge may be another one, and the models are trained anew. So a
difference can have many causes.

This protocol is for this comparison only; docs/evaluation.md describes the evaluation.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from aligners.core import formats
from aligners.core.errors import UserError
from aligners.core.rows import Row
from aligners.statistics.intervals import Estimate, share
from aligners.statistics.table_files import Section
from aligners.statistics.verdicts import TIE, preferences

PROTOCOL_CATEGORIES = ["2", "3", "6", "7"]
CELL = ["dataset", "llm", "backbone", "reference"]
COLUMNS = [
    *CELL,
    *["category_id", "category", "reported", "ours", "low", "high", "difference"],
    *["n", "ties", "unusable"],
]
NOT_REPORTED = "not reported"
# Several full stops in a row are another token than a single one.
FULL_STOP = re.compile(r"(?<!\.)\.(?!\.)")


def protocol_rows(inputs: Sequence[Row], dataset: str) -> list[Row]:
    """Return the test inputs of the paper's four categories, in their order.

    Raises:
        UserError: the data set has no row in one of them.
    """
    present = {row["category_id"] for row in inputs}
    missing = [number for number in PROTOCOL_CATEGORIES if number not in present]
    if missing:
        raise UserError(
            f"data set {dataset}: no row has the category_id {missing[0]}; the paper's protocol is "
            f"for data sets with the categories {', '.join(PROTOCOL_CATEGORIES)}, as BeaverTails. "
            "Leave this data set out, or name the column of the number in its recipe under "
            "columns.category_id"
        )
    return [row for row in inputs if row["category_id"] in PROTOCOL_CATEGORIES]


def first_sentence(text: str) -> str:
    """Return a text up to its first full stop, or all of it if there is none.

    The paper's code stopped generating at the first "." token, also in "3.14" and "e.g.". Whether a
    full stop next to a quotation mark or a bracket is that token depends on the tokenizer; here it
    ends the text.
    """
    found = FULL_STOP.search(text)
    return text[: found.end()] if found else text


def protocol_rates(verdicts: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the rate over the four categories, and then that of each.

    Args:
        verdicts: the rows of a verdicts file, with `category_id`.

    Returns:
        for each rate `category_id`, `category` (None over all four), `ours`, `low`, `high`,
        `n` (decided questions), `ties` and `unusable`.
    """
    preferred = preferences(verdicts)
    rates, estimates = [], []
    for number in PROTOCOL_CATEGORIES:
        rows = verdicts[verdicts["category_id"] == number]
        preference = preferred[rows.index]
        decided = preference[preference.notna() & (preference != TIE)]
        estimates.append(share(decided > TIE))
        rates.append(
            {
                "category_id": number,
                "category": rows["category"].iloc[0] if len(rows) else None,
                **rate_columns(estimates[-1]),
                "ties": int((preference == TIE).sum()),
                "unusable": int(preference.isna().sum()),
            }
        )
    total = {"category_id": None, "category": None, **rate_columns(macro_mean(estimates))}
    for key in ("ties", "unusable"):
        total[key] = sum(rate[key] for rate in rates)
    return [total, *rates]


def rate_columns(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate under the names of the table's columns."""
    return {
        "ours": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
    }


def macro_mean(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of independent shares with a 95% interval; no value if one has none.

    The interval is built from those of the shares (MOVER; Zou, Huang and Zhang 2009): in each
    direction, the root of the sum of their squared distances. With Wilson's intervals it has a
    width even where a category was won entirely; a bootstrap would find no variation there.
    """
    count, n = len(estimates), sum(estimate.n for estimate in estimates)
    if any(estimate.value is None for estimate in estimates):
        return Estimate(None, None, None, n)
    bounds = np.array([(each.value, each.low, each.high) for each in estimates], dtype=float)
    value, low, high = bounds.T
    mean, below, above = value.mean(), np.linalg.norm(value - low), np.linalg.norm(high - value)
    return Estimate(float(mean), float(mean - below / count), float(mean + above / count), n)


def read_reported(path: Path) -> dict[tuple[str, ...], float]:
    """Return the reported rates by `CELL` and the category's number, "" over the four."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    keys = table[[*CELL, "category_id"]].itertuples(index=False, name=None)
    return dict(zip(keys, table["win_rate"].astype(float), strict=True))


def compare_with_reported(
    verdicts: Iterable[tuple[Mapping[str, str], pd.DataFrame]],
    reported: Mapping[tuple[str, ...], float],
) -> pd.DataFrame:
    """Return the table of reported rates beside ours, with the columns `COLUMNS`.

    Args:
        verdicts: the `dataset`, `llm`, `backbone` and `reference` of each cell, and its verdicts.
        reported: as read_reported returns it.
    """
    rows = []
    for cell, table in verdicts:
        for rate in protocol_rates(table):
            key = (*(cell[name] for name in CELL), rate["category_id"] or "")
            theirs = reported.get(key)
            known = theirs is not None and rate["ours"] is not None
            difference = rate["ours"] - theirs if known else None
            rows.append({**cell, **rate, "reported": theirs, "difference": difference})
    return pd.DataFrame(rows, columns=COLUMNS)


def reproduction_sections(table: pd.DataFrame) -> list[Section]:
    """Return the table for reading: over the four categories, then by category."""
    macro = table["category_id"].isna()
    sections = []
    for title, rows, names in (
        ("Mean of the four categories", table[macro], CELL),
        ("By category", table[~macro], [*CELL, "category_id", "category"]),
    ):
        if len(rows):
            texts = pd.DataFrame([readable(row, names) for row in rows.to_dict("records")])
            sections.append(Section(title, texts))
    return sections


def readable(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Return a row of the table as texts, the given columns first."""
    return {
        **{name: str(row[name]) for name in names},
        "reported": formats.percent(row["reported"], missing=NOT_REPORTED),
        "ours (95% interval)": formats.rate({**row, "value": row["ours"]}),
        "difference": formats.points(row["difference"]),
        **{name: str(row[name]) for name in ("n", "ties", "unusable")},
    }
