"""The quality of a calibrated inspector on test rows."""

from typing import Any

from scipy.special import expit
from sklearn.metrics import confusion_matrix, roc_auc_score

from aligners.inspectors.calibration import calibration_errors
from aligners.inspectors.scorer import Scored


def quality(test: Scored, temperature: float, threshold: float) -> dict[str, Any]:
    """Return the metrics of the calibrated scores of test rows.

    Args:
        test: the test rows.
        temperature: of the calibration.
        threshold: in calibrated log odds.

    Returns:
        n; accuracy and confusion at the threshold; threshold (a probability) and
        threshold_log_odds; roc_auc (None if all rows have the same label); temperature; and the
        `calibration_errors` with the temperature and, as `*_uncalibrated`, without.
    """
    labels, log_odds = test.labels, test.log_odds / temperature
    predicted = (log_odds >= threshold).astype(int)
    (true_negative, false_positive), (false_negative, true_positive) = confusion_matrix(
        labels, predicted, labels=[0, 1]
    ).tolist()
    both_labels = len(set(labels.tolist())) == 2
    uncalibrated = calibration_errors(test.log_odds, labels)
    return {
        "n": len(labels),
        "accuracy": float((predicted == labels).mean()),
        "roc_auc": float(roc_auc_score(labels, log_odds)) if both_labels else None,
        "threshold": float(expit(threshold)),
        "threshold_log_odds": threshold,
        "confusion": {
            "aligned_as_aligned": true_positive,
            "aligned_as_misaligned": false_negative,
            "misaligned_as_aligned": false_positive,
            "misaligned_as_misaligned": true_negative,
        },
        "temperature": temperature,
        **calibration_errors(log_odds, labels),
        **{f"{name}_uncalibrated": error for name, error in uncalibrated.items()},
    }


def rows_of_scores(test: Scored, temperature: float) -> list[dict[str, Any]]:
    """Return the rows of test_scores.jsonl: id, label and calibrated score of each row."""
    scores = expit(test.log_odds / temperature)
    return [
        {"id": row["id"], "label": row["label"], "score": float(score)}
        for row, score in zip(test.rows, scores, strict=True)
    ]
