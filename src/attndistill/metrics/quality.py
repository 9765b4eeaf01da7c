"""The quality of a model, alone and against its teacher, with 95 % intervals; for every task."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .intervals import Interval, bootstrap, of_share
from .scores import (
    Assessment,
    Baseline,
    Metric,
    Score,
    Unit,
    check_any_rows,
    check_same_rows,
    ratio,
    ratio_score,
    sum_by_row,
)

Combine = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Quality:
    """How good a model is on the test rows.

    Intervals are 95 %, from the bootstrap over rows; those that involve the teacher are paired:
    both models are resampled on the same rows.

    Attributes:
        rows: N.
        deciding: name of the metric that decides.
        metrics: by name, the deciding one first.
        baseline: what a trivial model reaches in the deciding metric; None where there is none.
        agreement: share of answers (classes, tokens) that are the teacher's.
        ratio: the student's deciding metric over the teacher's; None where the teacher's is 0.
        difference: the student's deciding metric minus the teacher's.
    """

    rows: int
    deciding: str
    metrics: dict[str, Metric]
    baseline: Baseline | None = None
    agreement: Interval | None = None
    ratio: Interval | None = None
    difference: Interval | None = None

    @property
    def decisive(self) -> Metric:
        """The metric that decides."""
        return self.metrics[self.deciding]


def quality_of(assessed: Assessment, *, teacher: Assessment | None = None) -> Quality:
    """Sum up an assessment, and compare it with the teacher's on the same rows.

    Raises:
        InputError: there are no rows, or the teacher's assessment is of other rows.
    """
    check_any_rows(assessed.rows)
    scores = {name: _metric(score) for name, score in assessed.scores.items()}
    return Quality(
        rows=assessed.rows,
        deciding=assessed.deciding,
        metrics=scores | assessed.figures,
        baseline=assessed.baseline,
        **({} if teacher is None else _against_teacher(assessed, teacher)),
    )


def paired_difference(a: Assessment, b: Assessment) -> Interval | None:
    """Deciding metric of ``a`` minus that of ``b``, with its 95 % paired bootstrap interval.

    Raises:
        InputError: the assessments are of different rows.
    """
    check_same_rows(a, b)
    return difference_over_seeds([a], [b])


def mean_over_seeds(runs: list[Assessment]) -> Interval | None:
    """The deciding metric's mean over runs that differ in their seed; rows and seeds resampled."""
    return _interval([run.scores[run.deciding] for run in runs])


def difference_over_seeds(a: list[Assessment], b: list[Assessment]) -> Interval | None:
    """Mean difference of the deciding metric of runs paired by seed; rows and seeds resampled."""
    return _paired(a, b, np.subtract)


def _against_teacher(student: Assessment, teacher: Assessment) -> dict[str, Interval | None]:
    check_same_rows(student, teacher)
    return {
        "agreement": _agreement(student, teacher),
        "ratio": _paired([student], [teacher], ratio),
        "difference": paired_difference(student, teacher),
    }


def _agreement(student: Assessment, teacher: Assessment) -> Interval | None:
    if student.answers is None or teacher.answers is None:
        return None
    same = student.answers == teacher.answers
    row_of_answer = student.row_of_answer
    if row_of_answer is None:
        row_of_answer = np.arange(student.rows)
    score = ratio_score(
        sum_by_row(same, row_of_answer, student.rows),
        sum_by_row(np.ones(len(same)), row_of_answer, student.rows),
    )
    return _interval([score])


def _interval(scores: list[Score]) -> Interval | None:
    """The mean over seeds of one metric's scores."""
    rows = np.stack([score.rows for score in scores])
    interval = bootstrap(rows, scores[0].statistic)
    if interval is None or scores[0].unit != Unit.SHARE:
        return interval
    return of_share(interval, rows.shape[1])


def _paired(a: list[Assessment], b: list[Assessment], combine: Combine) -> Interval | None:
    """``combine`` of the deciding metric's values of two models on the same rows."""
    score_a, score_b = (run.scores[run.deciding] for run in (a[0], b[0]))
    width = score_a.rows.shape[1]

    def statistic(sums: np.ndarray) -> np.ndarray:
        of_a, of_b = sums[..., :width], sums[..., width:]
        return combine(score_a.statistic(of_a), score_b.statistic(of_b))

    rows = [
        np.concatenate([one.scores[one.deciding].rows, two.scores[two.deciding].rows], axis=1)
        for one, two in zip(a, b, strict=True)
    ]
    return bootstrap(np.stack(rows), statistic)


def _metric(score: Score) -> Metric:
    interval = _interval([score])
    return Metric(
        value=float("nan") if interval is None else interval.value,
        interval=interval,
        unit=score.unit,
        higher_is_better=score.higher_is_better,
    )
