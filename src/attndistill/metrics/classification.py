"""Quality of models with one output per text or image: a class, a set of labels or a number."""

import numpy as np
from scipy.stats import rankdata

from .scores import (
    Assessment,
    Baseline,
    Metric,
    Score,
    Unit,
    check_any_rows,
    f1_score,
    mean_score,
    ratio,
)

CALIBRATION_BINS = 15


def assess_classes(logits: np.ndarray, labels: np.ndarray) -> Assessment:
    """One class per row: accuracy decides, with macro-F1 and calibration beside it.

    Args:
        logits: float32 [N, C].
        labels: int64 [N].
    """
    check_any_rows(len(labels))
    classes = logits.argmax(1)
    seen = np.union1d(labels, classes)
    truth, predicted = labels[:, None] == seen, classes[:, None] == seen
    return Assessment(
        scores={
            "accuracy": mean_score(classes == labels),
            "macro-F1": f1_score(truth & predicted, truth.astype(int) + predicted),
        },
        figures={
            f"calibration error (ECE, {CALIBRATION_BINS} bins)": Metric(
                value=expected_calibration_error(logits, labels), higher_is_better=False
            )
        },
        truth=labels,
        answers=classes,
        baseline=Baseline(name="majority class", value=np.bincount(labels).max() / len(labels)),
    )


def assess_unlabelled(logits: np.ndarray, teacher: Assessment | None) -> Assessment:
    """Rows without labels: the teacher's classes are the truth; the teacher's own agree."""
    classes = logits.argmax(1)
    check_any_rows(len(classes))
    truth = classes if teacher is None else teacher.truth
    return Assessment(
        scores={"agreement with the teacher": mean_score(classes == truth)}, truth=truth
    )


def assess_label_sets(logits: np.ndarray, labels: np.ndarray) -> Assessment:
    """Any number of labels per row, each on its own: micro-F1 decides.

    Args:
        logits: float32 [N, C]; a label is predicted where its logit is above 0 (probability ½).
        labels: [N, C], 1 where the label is true.
    """
    check_any_rows(len(labels))
    truth, predicted = labels > 0.5, logits > 0
    hits, mentions = truth & predicted, truth.astype(int) + predicted
    return Assessment(
        scores={
            "micro-F1": f1_score(hits.sum(1, keepdims=True), mentions.sum(1, keepdims=True)),
            "macro-F1": f1_score(hits, mentions),
            "all labels right": mean_score((truth == predicted).all(1)),
        },
        truth=truth.ravel(),
        answers=predicted.ravel(),
        row_of_answer=np.repeat(np.arange(len(truth)), truth.shape[1]),
    )


def assess_values(predictions: np.ndarray, labels: np.ndarray) -> Assessment:
    """A number per row: the root-mean-square error decides, with two correlations beside it.

    Args:
        predictions: float32 [N].
        labels: [N].
    """
    check_any_rows(len(labels))
    predictions, labels = predictions.astype(np.float64), labels.astype(np.float64)
    return Assessment(
        scores={
            "RMSE": _root_mean_square(predictions - labels),
            "Pearson correlation": correlation_score(predictions, labels),
            # Ranks are those among all test rows, also in the resamples.
            "Spearman correlation": correlation_score(rankdata(predictions), rankdata(labels)),
        },
        truth=labels,
        baseline=Baseline(name="always the mean", value=float(labels.std())),
    )


def correlation_score(a: np.ndarray, b: np.ndarray) -> Score:
    """Pearson's correlation of two numbers per row, [N] each."""
    # Centred first: sums of squares of large numbers would cancel.
    a, b = a - a.mean(), b - b.mean()
    count = len(a)

    def statistic(sums: np.ndarray) -> np.ndarray:
        mean_a, mean_b, aa, bb, ab = np.moveaxis(sums / count, -1, 0)
        spread = np.clip(aa - mean_a**2, 0, None) * np.clip(bb - mean_b**2, 0, None)
        return ratio(ab - mean_a * mean_b, np.sqrt(spread))

    rows = np.stack([a, b, a * a, b * b, a * b], axis=1)
    return Score(rows=rows, statistic=statistic, unit=Unit.NUMBER)


def expected_calibration_error(logits: np.ndarray, labels: np.ndarray) -> float:
    """Σ_b (n_b / N)·|accuracy_b − confidence_b| over B equal-width bins of confidence.

    Confidence is the largest softmax probability; bin b holds confidences in ((b−1)/B, b/B]
    (Guo et al. 2017, "On Calibration of Modern Neural Networks"). It has no interval: resampling
    biases a sum of absolute gaps upwards.
    """
    logits = logits.astype(np.float64)
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    confidence = exponentials.max(1) / exponentials.sum(1)
    bins = CALIBRATION_BINS
    bin_of_row = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    gaps = (logits.argmax(1) == labels) - confidence
    return float(np.abs(np.bincount(bin_of_row, weights=gaps, minlength=bins)).sum() / len(labels))


def _root_mean_square(errors: np.ndarray) -> Score:
    count = len(errors)
    return Score(
        rows=errors[:, None] ** 2,
        statistic=lambda sums: np.sqrt(sums[..., 0] / count),
        unit=Unit.NUMBER,
        higher_is_better=False,
    )
