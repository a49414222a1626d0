"""The paper's evaluation protocol, to compare our win rates with those that its code reported.

As in the paper: the squad in the paper's order (squad-paper); first sentences, except of external
aligners (aligners.core.sentences); 4 of the 14 categories of BeaverTails-Evaluation; ties dropped;
the mean of the categories' rates with equal weights.

Unlike the paper: each question is judged in both orders, while AlpacaEval judges it in one random
order. A tie is a mean preference of exactly 0.5, which includes two orders that contradict each
other. So more questions, the uncertain ones, are dropped as ties, and rates are further from one
half. Rates have an interval and n. The judge can be another one, and the models are trained again.
So a difference can have many causes.

This protocol is for this comparison only; docs/evaluation.md describes the evaluation.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from aligners.core import formats
from aligners.core.errors import UserError
from aligners.core.rows import Row
from aligners.statistics.intervals import (
    UNSEEN,
    Estimate,
    ResampledMeans,
    estimate,
    resampled_means,
    share,
)
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
# Of the resamples.
SEED = 0
# Ends the name of the recipe of an LLM that responds as in the paper: the rates are reported under
# the name of the LLM itself.
AS_IN_THE_PAPER = "-paper"


def protocol_rows(inputs: Sequence[Row], dataset: str) -> list[Row]:
    """Return the test inputs of the paper's four categories, in their order.

    Raises:
        UserError: the data set has no row in one of these categories.
    """
    present = {row["category_id"] for row in inputs}
    missing = [number for number in PROTOCOL_CATEGORIES if number not in present]
    if missing:
        raise UserError(
            f"data set {dataset}: no row has the category_id {missing[0]}, and the paper's "
            f"protocol needs the categories {', '.join(PROTOCOL_CATEGORIES)}, as in BeaverTails; "
            "leave this data set out, or set columns.category_id in its recipe to the column with "
            "the numbers"
        )
    return [row for row in inputs if row["category_id"] in PROTOCOL_CATEGORIES]


def protocol_rates(verdicts: pd.DataFrame) -> list[dict[str, Any]]:
    """Return the mean rate of the four categories, then the rate of each.

    Args:
        verdicts: the rows of a verdicts file, with `category_id`.

    Returns:
        For each rate `category_id` and `category` (both None for the mean), `ours`, `low`, `high`,
        `n` (decided questions), `ties` and `unusable`.
    """
    preferred = preferences(verdicts)
    rates, won = [], []
    for number in PROTOCOL_CATEGORIES:
        rows = verdicts[verdicts["category_id"] == number]
        preference = preferred[rows.index]
        decided = preference[preference.notna() & (preference != TIE)]
        won.append((decided > TIE).to_numpy())
        rates.append(
            {
                "category_id": number,
                "category": rows["category"].iloc[0] if len(rows) else None,
                **rate_columns(share(won[-1])),
                "ties": int((preference == TIE).sum()),
                "unusable": int(preference.isna().sum()),
            }
        )
    total = {"category_id": None, "category": None, **rate_columns(macro_mean(won))}
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


def macro_mean(won: Sequence[NDArray[np.bool_]]) -> Estimate:
    """Return the mean of the shares of categories; no value if a category has no question.

    The interval is that of aligners.statistics.intervals. The unseen question belongs to each
    category in equal parts.

    Args:
        won: for each category, whether the system won each question.
    """
    n = sum(len(each) for each in won)
    if not all(len(each) for each in won):
        return Estimate(None, None, None, n)
    generator = np.random.default_rng(SEED)
    means = [
        resampled_means(each.astype(float), 0, 1, generator, unseen=UNSEEN / len(won))
        for each in won
    ]
    lower = np.mean([each.lower for each in means], axis=0)
    upper = np.mean([each.upper for each in means], axis=0)
    value = float(np.mean([each.mean() for each in won]))
    return estimate(value, ResampledMeans(lower, upper), n)


def read_reported(path: Path) -> dict[tuple[str, ...], float]:
    """Return the reported rates by `CELL` and category_id, which is "" for the mean of the four."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    keys = table[[*CELL, "category_id"]].itertuples(index=False, name=None)
    return dict(zip(keys, table["win_rate"].astype(float), strict=True))


def compare_with_reported(
    verdicts: Iterable[tuple[Mapping[str, str], pd.DataFrame]],
    reported: Mapping[tuple[str, ...], float],
) -> pd.DataFrame:
    """Return the table of reported rates beside ours, with the columns `COLUMNS`.

    Args:
        verdicts: for each cell, its `dataset`, `llm`, `backbone` and `reference`, and its verdicts.
        reported: the result of `read_reported`.
    """
    rows = []
    for cell, table in verdicts:
        for rate in protocol_rates(table):
            names = {**cell, "llm": cell["llm"].removesuffix(AS_IN_THE_PAPER)}
            key = (*(names[name] for name in CELL), rate["category_id"] or "")
            theirs = reported.get(key)
            known = theirs is not None and rate["ours"] is not None
            difference = rate["ours"] - theirs if known else None
            rows.append({**cell, **rate, "reported": theirs, "difference": difference})
    return pd.DataFrame(rows, columns=COLUMNS)


def reproduction_sections(table: pd.DataFrame) -> list[Section]:
    """Return the table as text: first the means of the four categories, then each category."""
    macro = table["category_id"].isna()
    sections = []
    for title, rows, names in (
        ("Mean of the four categories", table[macro], CELL),
        ("By category", table[~macro], [*CELL, "category_id", "category"]),
    ):
        if len(rows):
            texts = pd.DataFrame([text_row(row, names) for row in rows.to_dict("records")])
            sections.append(Section(title, texts))
    return sections


def text_row(row: Mapping[str, Any], names: Sequence[str]) -> dict[str, str]:
    """Return a row of the table as texts, the columns `names` first."""
    return {
        **{name: str(row[name]) for name in names},
        "reported": formats.percent(row["reported"], missing=NOT_REPORTED),
        "ours (95% interval)": formats.rate({**row, "value": row["ours"]}),
        "difference": formats.points(row["difference"]),
        **{name: str(row[name]) for name in ("n", "ties", "unusable")},
    }
