"""AlpacaEval's own length-controlled win rate, by its own code, where it is valid.

Its regression uses the difficulty of each of AlpacaEval's 805 instructions by its position in the
list, and verdicts on two systems that game lengths as regularisation. Both are in one file,
df_gamed.csv, which alpaca_eval downloads from the Hub (data set tatsu-lab/alpaca_eval). On other
questions it would run as well, with the wrong difficulties; length_control is for these.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from aligners.core.rows import Row, row_id
from aligners.statistics.verdicts import preferences

# The id of the list of the 805 instructions' ids: alpaca_eval.json of tatsu-lab/alpaca_eval.
OWN_INSTRUCTIONS = "3efd515176a5d13b"


@dataclass(frozen=True)
class AlpacaEvalRate:
    """The rate, or None and the reason why there is none.

    `standard_error` is the one that AlpacaEval gives: how much the predictions of the questions
    vary. That the regression itself is an estimate is not in it.
    """

    rate: float | None = None
    standard_error: float | None = None
    reason: str | None = None


def alpaca_eval_rate(
    verdicts: pd.DataFrame, outputs: Sequence[Row], references: Sequence[Row]
) -> AlpacaEvalRate:
    """Return AlpacaEval's length-controlled win rate of a comparison.

    Args:
        verdicts: a table as `verdicts` describes it; what is unusable stays out of the fit.
        outputs: our AlpacaEval file.
        references: that of the reference, with the same instructions in the same order.
    """
    ids = [row_id(row["instruction"]) for row in outputs]
    if row_id(*ids) != OWN_INSTRUCTIONS:
        return AlpacaEvalRate(
            reason="the questions are not AlpacaEval's own 805 in their own order "
            "(data set alpaca_eval, alpaca_eval_rows of 805)"
        )
    preferred = preferences(verdicts).set_axis(verdicts["id"]).reindex(ids)
    if preferred.isna().all():
        return AlpacaEvalRate(reason="no question has a usable verdict in both orders")
    pairs = zip(outputs, references, strict=True)
    if len({len(ours["output"]) - len(theirs["output"]) for ours, theirs in pairs}) == 1:
        return AlpacaEvalRate(reason="the lengths always differ by the same")
    annotations = pd.DataFrame(
        {
            "index": range(len(ids)),
            "preference": preferred.to_numpy() + 1,  # 1: the reference is better, 2: ours.
            "output_1": [row["output"] for row in references],
            "output_2": [row["output"] for row in outputs],
            "generator_1": references[0]["generator"],
            "generator_2": outputs[0]["generator"],
        }
    )
    return fitted(annotations)


def fitted(annotations: pd.DataFrame) -> AlpacaEvalRate:
    """Let alpaca_eval compute the rate."""
    # Slow to import, and seldom needed.
    import sklearn
    from alpaca_eval.metrics import get_length_controlled_winrate

    try:
        with sklearn.config_context():  # alpaca_eval changes a setting of the process.
            metrics = get_length_controlled_winrate(annotations, save_weights_dir=None)
    except OSError as error:
        told = " ".join(str(error).split())
        return AlpacaEvalRate(reason=f"df_gamed.csv of tatsu-lab/alpaca_eval cannot be had: {told}")
    rate, standard_error = metrics["length_controlled_winrate"], metrics["lc_standard_error"]
    return AlpacaEvalRate(float(rate) / 100, float(standard_error) / 100)
