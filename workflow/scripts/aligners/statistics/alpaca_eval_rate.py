"""AlpacaEval's own length-controlled win rate, computed by alpaca_eval where it is valid.

Its regression uses the difficulty of each of AlpacaEval's 805 instructions, found by position in
the list, and, as regularisation, verdicts on two systems that exploit length. Both are in
df_gamed.csv, which alpaca_eval downloads from the Hub (data set tatsu-lab/alpaca_eval). On other
questions alpaca_eval would use the wrong difficulties without an error; length_control is for
these.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from aligners.core.rows import Row, row_id
from aligners.statistics.verdicts import preferences

# The row_id of the row_ids of the 805 instructions in alpaca_eval.json of tatsu-lab/alpaca_eval.
ALPACA_EVAL_INSTRUCTIONS = "3efd515176a5d13b"


@dataclass(frozen=True)
class AlpacaEvalRate:
    """The rate, or None with a reason.

    Attributes:
        rate: from 0 to 1.
        standard_error: AlpacaEval's: the variation of the predictions over questions, without the
            uncertainty of the fitted regression.
        reason: why there is no rate.
    """

    rate: float | None = None
    standard_error: float | None = None
    reason: str | None = None


def alpaca_eval_rate(
    verdicts: pd.DataFrame, outputs: Sequence[Row], references: Sequence[Row]
) -> AlpacaEvalRate:
    """Return AlpacaEval's length-controlled win rate of a comparison.

    Args:
        verdicts: a table as aligners.statistics.verdicts describes it; unusable verdicts are left
            out of the fit.
        outputs: the system's AlpacaEval file.
        references: the reference's, with the same instructions in the same order.
    """
    ids = [row_id(row["instruction"]) for row in outputs]
    if row_id(*ids) != ALPACA_EVAL_INSTRUCTIONS:
        return AlpacaEvalRate(
            reason="the questions are not AlpacaEval's own 805 in their order (needs the data set "
            "alpaca_eval with alpaca_eval_rows: 805)"
        )
    preferred = preferences(verdicts).set_axis(verdicts["id"]).reindex(ids)
    if preferred.isna().all():
        return AlpacaEvalRate(reason="no question has a usable verdict in both orders")
    pairs = zip(outputs, references, strict=True)
    if len({len(ours["output"]) - len(theirs["output"]) for ours, theirs in pairs}) == 1:
        return AlpacaEvalRate(reason="the lengths always differ by the same number")
    annotations = pd.DataFrame(
        {
            "index": range(len(ids)),
            "preference": preferred.to_numpy() + 1,  # 1: the reference is better; 2: ours is.
            "output_1": [row["output"] for row in references],
            "output_2": [row["output"] for row in outputs],
            "generator_1": references[0]["generator"],
            "generator_2": outputs[0]["generator"],
        }
    )
    return compute_rate(annotations)


def compute_rate(annotations: pd.DataFrame) -> AlpacaEvalRate:
    """Return the rate that alpaca_eval computes from its annotations."""
    # Slow to import, and seldom needed.
    import sklearn
    from alpaca_eval.metrics import get_length_controlled_winrate

    try:
        with sklearn.config_context():  # alpaca_eval changes a setting of the process.
            metrics = get_length_controlled_winrate(annotations, save_weights_dir=None)
    except OSError as error:
        cause = " ".join(str(error).split())
        return AlpacaEvalRate(
            reason=f"df_gamed.csv of tatsu-lab/alpaca_eval cannot be downloaded: {cause}"
        )
    rate, standard_error = metrics["length_controlled_winrate"], metrics["lc_standard_error"]
    return AlpacaEvalRate(float(rate) / 100, float(standard_error) / 100)
