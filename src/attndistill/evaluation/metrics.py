"""A task's quality as named metrics: the one place that tells tasks apart for presentation."""

from dataclasses import dataclass
from enum import StrEnum

from .intervals import Interval
from .report import Quality


class Unit(StrEnum):
    """How a metric is written."""

    SHARE = "share"
    NUMBER = "number"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One figure of a model's quality; its interval is None where it has none."""

    name: str
    value: float
    interval: Interval | None
    unit: Unit
    higher_is_better: bool


def metrics(quality: Quality) -> list[Metric]:
    """The metrics of a model alone, the one that decides first."""
    return [
        _metric("accuracy", quality.accuracy),
        _metric("macro-F1", quality.macro_f1),
        Metric(
            name="calibration error (ECE, 15 bins)",
            value=quality.calibration_error,
            interval=None,
            unit=Unit.NUMBER,
            higher_is_better=False,
        ),
        *([_metric("agreement with the teacher", quality.agreement)] if quality.agreement else []),
    ]


def baseline(quality: Quality) -> tuple[str, float]:
    """What a model that knows nothing reaches in the deciding metric: its name and value."""
    return "majority class", quality.majority


def _metric(name: str, interval: Interval) -> Metric:
    return Metric(
        name=name, value=interval.value, interval=interval, unit=Unit.SHARE, higher_is_better=True
    )
