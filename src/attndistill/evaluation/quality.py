"""The quality of a classifier, alone and against its teacher, with 95 % intervals."""

from dataclasses import dataclass

import numpy as np

from ..errors import InputError
from .intervals import Interval, bootstrap, bootstrap_mean
from .predict import Predictions

CALIBRATION_BINS = 15


@dataclass(frozen=True, kw_only=True)
class ClassificationQuality:
    """How good a classifier is on the test rows.

    Shares run from 0 to 1. Intervals are 95 %, from the bootstrap over rows; those that involve
    the teacher are paired: both models are resampled on the same rows.

    Attributes:
        rows: N.
        accuracy: share of rows whose predicted class is the true one.
        macro_f1: mean over the classes of 2·TP / (2·TP + FP + FN); a class that is neither true
            nor predicted on any row is left out.
        calibration_error: expected calibration error (see `expected_calibration_error`). It has no
            interval: resampling biases a sum of absolute gaps upwards.
        majority: accuracy of always answering the test rows' most frequent class.
        agreement: share of rows where student and teacher predict the same class.
        share_retained: student accuracy / teacher accuracy; None where the teacher has none.
        difference: student accuracy − teacher accuracy.
    """

    rows: int
    accuracy: Interval
    macro_f1: Interval
    calibration_error: float
    majority: float
    agreement: Interval | None = None
    share_retained: Interval | None = None
    difference: Interval | None = None


def classification_quality(
    predictions: Predictions, *, teacher: Predictions | None = None, seed: int = 0
) -> ClassificationQuality:
    """Measure predictions against their labels, and against a teacher's on the same rows.

    Raises:
        InputError: there are no rows, or the teacher's predictions are of other rows.
    """
    if len(predictions.labels) == 0:
        raise InputError("quality needs at least one test row, but there are none")
    correct = predictions.correct
    return ClassificationQuality(
        rows=len(correct),
        accuracy=_mean(correct, seed),
        macro_f1=_macro_f1(predictions, seed),
        calibration_error=expected_calibration_error(predictions),
        majority=float(np.bincount(predictions.labels).max() / len(correct)),
        **({} if teacher is None else _against_teacher(predictions, teacher, seed)),
    )


def paired_difference(a: Predictions, b: Predictions, *, seed: int = 0) -> Interval:
    """Accuracy of ``a`` minus accuracy of ``b``, with its 95 % paired bootstrap interval.

    Raises:
        InputError: the predictions are of different rows.
    """
    check_same_rows(a, b)
    return _mean(a.correct.astype(np.float64) - b.correct, seed)


def expected_calibration_error(predictions: Predictions, bins: int = CALIBRATION_BINS) -> float:
    """Σ_b (n_b / N)·|accuracy_b − confidence_b| over equal-width bins of confidence.

    Confidence is the largest softmax probability; bin b holds confidences in ((b−1)/bins, b/bins]
    (Guo et al. 2017, "On Calibration of Modern Neural Networks").
    """
    logits = predictions.logits.astype(np.float64)
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    confidence = exponentials.max(1) / exponentials.sum(1)
    bin_of_row = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = np.bincount(bin_of_row, weights=predictions.correct - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def _against_teacher(
    student: Predictions, teacher: Predictions, seed: int
) -> dict[str, Interval | None]:
    check_same_rows(student, teacher)
    both = np.stack([student.correct, teacher.correct], axis=1)
    return {
        "agreement": _mean(student.classes == teacher.classes, seed),
        "share_retained": bootstrap(both, _ratio, seed=seed),
        "difference": paired_difference(student, teacher, seed=seed),
    }


def check_same_rows(a: Predictions, b: Predictions) -> None:
    """Raise an InputError unless both predict the same rows, as far as their labels tell."""
    if not np.array_equal(a.labels, b.labels):
        raise InputError(
            f"paired measures need the same rows in the same order, but the labels of the two "
            f"predictions differ ({len(a.labels)} and {len(b.labels)} rows): predict both models "
            "on one data set"
        )


def _mean(scores: np.ndarray, seed: int) -> Interval:
    return bootstrap_mean(scores[None].astype(np.float64), seed=seed)


def _ratio(sums: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = sums[:, 0] / sums[:, 1]
    return np.where(sums[:, 1] > 0, ratio, np.nan)


def _macro_f1(predictions: Predictions, seed: int) -> Interval:
    classes = np.union1d(predictions.labels, predictions.classes)
    truth = predictions.labels[:, None] == classes
    predicted = predictions.classes[:, None] == classes
    # 2·TP + FP + FN = rows predicted as the class + rows of the class.
    rows = np.concatenate([2 * (truth & predicted), truth.astype(int) + predicted], axis=1)

    def statistic(sums: np.ndarray) -> np.ndarray:
        doubled_hits, mentions = np.split(sums, 2, axis=1)
        f1 = np.divide(
            doubled_hits, mentions, out=np.full_like(mentions, np.nan), where=mentions > 0
        )
        return np.nanmean(f1, axis=1)

    interval = bootstrap(rows, statistic, seed=seed)
    assert interval is not None, "every class is mentioned at least once"
    return interval
