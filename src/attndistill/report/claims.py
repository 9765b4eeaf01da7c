"""What the figures allow us to say: a difference is claimed only where its interval excludes 0."""

from ..metrics.intervals import Interval
from ..metrics.quality import Quality
from ..metrics.scores import Baseline
from .comparison import ArmDifference, Comparison
from .formatting import metric_difference, metric_interval, metric_value
from .schema import RunReport


def student_claims(report: RunReport) -> list[str]:
    """Whether the student is worse than its teacher, and better than the baseline."""
    quality = report.student.quality
    claims = []
    if quality.difference is not None:
        claims.append(_against_teacher(quality, quality.difference))
    if quality.baseline is not None and quality.decisive.interval is not None:
        claims.append(_against_baseline(quality, quality.decisive.interval, quality.baseline))
    return claims


def arm_claim(difference: ArmDifference, quality: Quality) -> str:
    """Whether one arm is better than another; ``quality`` is that of a student on the same rows."""
    interval, arm, other = difference.difference, difference.arm, difference.other
    scope = f"on the same {quality.rows:,} test rows, {_seeds(difference.seeds)}"
    if interval is None:
        return f"“{arm}” against “{other}”: the {quality.deciding} is undefined ({scope})."
    figures = metric_difference(interval, quality.decisive.unit)
    if not interval.excludes(0.0):
        return (
            f"“{arm}” against “{other}”: {figures}. The interval includes 0, so no difference is "
            f"claimed ({scope})."
        )
    verdict = _verdict(quality, interval.value)
    return f"“{arm}” is {verdict} in {quality.deciding} than “{other}”: {figures} ({scope})."


def comparison_caveats(comparison: Comparison) -> list[str]:
    """What the intervals of a comparison do not cover."""
    caveats = []
    if any(len(difference.seeds) == 1 for difference in comparison.differences):
        caveats.append(
            "With one seed the intervals cover the choice of test rows, not that of the seed: "
            "another seed may reverse a small difference."
        )
    if len(comparison.differences) > 1:
        caveats.append(
            f"Each of the {len(comparison.differences)} intervals is 95 % by itself, not adjusted "
            "for the number of comparisons."
        )
    return caveats


def _against_teacher(quality: Quality, difference: Interval) -> str:
    figures = metric_difference(difference, quality.decisive.unit)
    if not difference.excludes(0.0):
        return (
            f"Student against teacher: {figures}. The interval includes 0: no difference in "
            f"{quality.deciding} is claimed on {quality.rows:,} test rows."
        )
    return (
        f"The student is {_verdict(quality, difference.value)} in {quality.deciding} than its "
        f"teacher on {quality.rows:,} test rows: {figures}."
    )


def _against_baseline(quality: Quality, interval: Interval, baseline: Baseline) -> str:
    unit, higher = quality.decisive.unit, quality.decisive.higher_is_better
    known = f"the baseline “{baseline.name}” ({metric_value(baseline.value, unit)})"
    shown = interval.low > baseline.value if higher else interval.high < baseline.value
    verdict = "better" if shown else "not shown to be better"
    ends = metric_interval(interval, unit)
    return f"The student is {verdict} than {known}: its interval is {ends}."


def _verdict(quality: Quality, difference: float) -> str:
    return "better" if (difference > 0) == quality.decisive.higher_is_better else "worse"


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"{len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}"
