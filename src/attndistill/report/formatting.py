"""Figures as people read them; a no-break space joins a figure and its unit."""

import numpy as np

from ..measure.energy import Energy, EnergySource
from ..metrics.intervals import Interval
from ..metrics.scores import Unit

NBSP = "\N{NO-BREAK SPACE}"


def percent(share: float) -> str:
    """0.9812 as "98.1 %"."""
    return f"{100 * share:.1f}{NBSP}%"


def percent_interval(interval: Interval) -> str:
    """The ends of an interval of shares: "95.2–99.0 %"."""
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}{NBSP}%"


def signed_points(difference: float) -> str:
    """A difference of shares in percentage points, signed: "+1.2", "−0.4", "0.0"."""
    rounded = round(100 * difference, 1)
    return f"{rounded:+.1f}".replace("-", "−") if rounded else "0.0"


def points_interval(interval: Interval) -> str:
    """The ends of an interval of differences: "−0.4 to +2.8 points"."""
    return f"{signed_points(interval.low)} to {signed_points(interval.high)} points"


def metric_value(value: float, unit: Unit) -> str:
    """A metric's value: "91.2 %", "0.034", "23.4"."""
    if unit is Unit.SHARE:
        return percent(value)
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}"


def metric_with_interval(interval: Interval, unit: Unit) -> str:
    """A metric's value with its interval: "91.2 % (89.5–92.8 %)", "23.4 (22.9–24.0)"."""
    return f"{metric_value(interval.value, unit)} ({metric_interval(interval, unit)})"


def metric_interval(interval: Interval, unit: Unit) -> str:
    """The ends of a metric's interval: "89.5–92.8 %", "22.9–24.0"."""
    if unit is Unit.SHARE:
        return percent_interval(interval)
    return f"{metric_value(interval.low, unit)}–{metric_value(interval.high, unit)}"


def metric_difference(difference: Interval, unit: Unit) -> str:
    """A difference with its interval: "+1.2 points, 95 % interval −0.4 to +2.8 points"."""
    if unit is Unit.SHARE:
        value = signed_points(difference.value)
        return f"{value} points, 95 % interval {points_interval(difference)}"
    value, low, high = (
        f"{number:+.3f}".replace("-", "−")
        for number in (difference.value, difference.low, difference.high)
    )
    return f"{value}, 95 % interval {low} to {high}"


def metric_ratio(ratio: float, *, higher_is_better: bool) -> str:
    """A metric over the teacher's: "93.4 %" where higher is better, "1.08×" of an error."""
    return percent(ratio) if higher_is_better else factor(ratio)


def nats(divergence: float) -> str:
    """A divergence: "0.1234", or "<0.0001", as only a copy has "0.0000"."""
    return "<0.0001" if 0 < divergence < 0.0001 else f"{divergence:.4f}"


def short_path(name: str) -> str:
    """The end of a long path: "…/minilm/model"; hub names and short paths stay."""
    parts = name.split("/")
    return name if len(parts) <= 3 else "/".join(["…", *parts[-2:]])


def three_digits(number: float) -> str:
    """A number to three significant digits, never with an exponent: "8.42", "1000"."""
    return np.format_float_positional(float(f"{number:.3g}"), trim="-")


def short_count(number: float) -> str:
    """A count with three significant digits and a letter: 22700000 as "22.7 M"."""
    for unit, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= unit:
            return f"{three_digits(number / unit)}{NBSP}{letter}"
    return three_digits(number)


def byte_size(number: float) -> str:
    """Bytes in decimal units: "90.9 MB"."""
    return f"{short_count(number)}B" if number >= 1000 else f"{number:g}{NBSP}B"


def milliseconds(number: float) -> str:
    """A short time: "8.42 ms", from a second on "12.3 s"."""
    value, unit = (number, "ms") if number < 1000 else (number / 1000, "s")
    return f"{three_digits(value)}{NBSP}{unit}"


def duration(seconds: float) -> str:
    """A longer time: "3 min 20 s"."""
    if seconds < 60:
        return f"{three_digits(seconds)}{NBSP}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}{NBSP}h {minutes}{NBSP}min" if hours else f"{minutes}{NBSP}min {rest}{NBSP}s"


def factor(ratio: float) -> str:
    """A ratio: "1.98×", "12.4×", "130×"."""
    digits = 2 if ratio < 10 else 1 if ratio < 100 else 0
    return f"{ratio:,.{digits}f}×"


def joules(energy: Energy) -> str:
    """Energy of 1,000 inferences with where it comes from: "12.3 J (estimated at 65 W)"."""
    figure = f"{three_digits(energy.joules)}{NBSP}J"
    match energy.source:
        case EnergySource.MEASURED:
            return f"{figure} (measured, {energy.method})"
        case EnergySource.ESTIMATED:
            return f"{figure} (estimated at {energy.watts:g}{NBSP}W)"
