"""Metrics as sums over rows, so that any of them can be resampled, paired and compared."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from ..choices import Option
from ..errors import InputError
from .intervals import Interval

# Sums of the rows' numbers [..., K] to the metric's value [...].
Statistic = Callable[[np.ndarray], np.ndarray]


class Unit(Option):
    """How a metric is written."""

    SHARE = "share"
    NUMBER = "number"


@dataclass(frozen=True, kw_only=True, eq=False)
class Score:
    """A metric: what every row adds to K sums, and what the sums amount to.

    Attributes:
        rows: float64 [N, K].
        statistic: sums [..., K] to values [...]; NaN where it is undefined.
        unit: how it is written.
        higher_is_better: direction.
    """

    rows: np.ndarray
    statistic: Statistic
    unit: Unit = Unit.SHARE
    higher_is_better: bool = True


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One figure of a model's quality.

    Attributes:
        value: of all test rows; NaN where it is undefined.
        interval: 95 %; None where it has none, such as one that is no function of sums over rows.
        unit: how it is written.
        higher_is_better: direction.
    """

    value: float
    interval: Interval | None = None
    unit: Unit = Unit.NUMBER
    higher_is_better: bool = True


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """What a trivial model reaches in the deciding metric."""

    name: str
    value: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Assessment:
    """What a model does on the test rows, ready to be summed, resampled and compared.

    Attributes:
        scores: the metrics by name, the deciding one first.
        truth: [M] what was to be answered; two assessments are of the same rows where it is equal.
        answers: [M] what the model answered, or None where answers cannot be equal.
        row_of_answer: [M] the row of each answer; None where each row has one.
        figures: metrics without an interval.
        baseline: for the deciding metric.

    Raises:
        InputError: a unit that is none, or a share that is not from 0 to 1.
    """

    scores: dict[str, Score]
    truth: np.ndarray
    answers: np.ndarray | None = None
    row_of_answer: np.ndarray | None = None
    figures: dict[str, Metric] = field(default_factory=dict)
    baseline: Baseline | None = None

    def __post_init__(self) -> None:
        for name, score in self.scores.items():
            value = float(score.statistic(score.rows.sum(0)))
            if Unit(score.unit) is Unit.SHARE and not (np.isnan(value) or 0 <= value <= 1 + 1e-9):
                raise InputError(
                    f"the metric {name!r} is {value:.4g}, but a share is from 0 to 1: give its "
                    'score unit="number"'
                )

    @property
    def deciding(self) -> str:
        """The name of the metric that decides."""
        return next(iter(self.scores))

    @property
    def rows(self) -> int:
        """N, the test rows."""
        return len(self.scores[self.deciding].rows)


def values_of(assessed: Assessment) -> dict[str, float]:
    """The scores as numbers under names for logs: "macro-F1" is ``macro_f1``."""
    scores = {name: score.statistic(score.rows.sum(0)) for name, score in assessed.scores.items()}
    figures = {name: figure.value for name, figure in assessed.figures.items()}
    return {_slug(name): float(value) for name, value in (scores | figures).items()}


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def mean_score(values: np.ndarray, **options: object) -> Score:
    """The mean over rows of one number per row, [N]."""
    count = len(values)
    return Score(
        rows=np.asarray(values, np.float64)[:, None],
        statistic=lambda sums: sums[..., 0] / count,
        **options,  # type: ignore[arg-type]
    )


def ratio_score(numerators: np.ndarray, denominators: np.ndarray, **options: object) -> Score:
    """Σ numerators / Σ denominators over rows, such as hits over tokens."""
    return Score(
        rows=np.stack([numerators, denominators], axis=1).astype(np.float64),
        statistic=lambda sums: ratio(sums[..., 0], sums[..., 1]),
        **options,  # type: ignore[arg-type]
    )


def f1_score(hits: np.ndarray, mentions: np.ndarray) -> Score:
    """Mean over classes of F1 = 2·hits / mentions; a class without any mention is left out.

    Args:
        hits: [N, C] true positives per row.
        mentions: [N, C] predicted + true per row, that is 2·TP + FP + FN.
    """

    def statistic(sums: np.ndarray) -> np.ndarray:
        per_class = ratio(*np.split(sums, 2, axis=-1))
        defined = np.isfinite(per_class)
        return ratio(np.where(defined, per_class, 0).sum(-1), defined.sum(-1))

    rows = np.concatenate([2 * hits, mentions], axis=1).astype(np.float64)
    return Score(rows=rows, statistic=statistic)


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Numerator / denominator; NaN where the denominator is 0."""
    undefined = np.full(np.broadcast_shapes(np.shape(numerator), np.shape(denominator)), np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator != 0)


def sum_by_row(values: np.ndarray, row_of_value: np.ndarray, rows: int) -> np.ndarray:
    """Sum values [M] by the row each belongs to: [rows]."""
    return np.bincount(row_of_value, weights=values, minlength=rows)


def check_any_rows(rows: int) -> None:
    """Raise an InputError where there are no test rows."""
    if rows == 0:
        raise InputError("quality needs at least one test row, but there are none")


def check_same_rows(a: Assessment, b: Assessment) -> None:
    """Raise an InputError unless both are of the same rows, as far as their truth tells."""
    same = a.rows == b.rows and np.array_equal(a.truth, b.truth)
    if a.row_of_answer is not None and b.row_of_answer is not None:
        same = same and np.array_equal(a.row_of_answer, b.row_of_answer)
    if not same:
        raise InputError(
            f"paired measures need the same rows in the same order, but the true answers differ "
            f"({a.rows} and {b.rows} rows): assess both models on one data set"
        )
