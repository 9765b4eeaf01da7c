"""What the figures allow to say: a difference is claimed only where its interval excludes 0."""

from .comparison import ArmDifference, Comparison
from .intervals import Interval
from .quality import ClassificationQuality
from .report import RunReport
from .wording import percent, percent_interval, points, points_interval


def student_claims(report: RunReport) -> list[str]:
    """Whether the student is worse than its teacher, and better than knowing nothing."""
    quality = report.student.quality
    claims = []
    if quality.difference is not None:
        claims.append(_against_teacher(quality.difference, quality.rows))
    claims.append(_against_majority(quality))
    return claims


def arm_claim(difference: ArmDifference, rows: int) -> str:
    """Whether one arm is better than another on the same test rows."""
    interval, arm, other = difference.difference, difference.arm, difference.other
    figures = f"{points(interval.value)} points, 95 % interval {points_interval(interval)}"
    scope = f"on the same {rows:,} test rows, {_seeds(difference.seeds)}"
    if not interval.excludes(0.0):
        return (
            f"“{arm}” against “{other}”: {figures}. The interval includes 0, so no difference is "
            f"claimed ({scope})."
        )
    verdict = "more" if interval.value > 0 else "less"
    return f"“{arm}” is {verdict} accurate than “{other}”: {figures} ({scope})."


def comparison_caveats(comparison: Comparison) -> list[str]:
    """What the intervals of a comparison do not cover."""
    caveats = []
    if any(len(difference.seeds) == 1 for difference in comparison.differences):
        caveats.append(
            "With one seed the intervals cover the choice of test rows, not that of the seed: "
            "another seed may turn a small difference round."
        )
    if len(comparison.differences) > 1:
        caveats.append(
            f"Each of the {len(comparison.differences)} intervals is 95 % by itself, not adjusted "
            "for their number."
        )
    return caveats


def _against_teacher(difference: Interval, rows: int) -> str:
    figures = f"{points(difference.value)} points, 95 % interval {points_interval(difference)}"
    if not difference.excludes(0.0):
        return (
            f"Student against teacher: {figures}. The interval includes 0: no difference in "
            f"accuracy is claimed at {rows:,} test rows."
        )
    verdict = "more" if difference.value > 0 else "less"
    return f"The student is {verdict} accurate than its teacher on {rows:,} test rows: {figures}."


def _against_majority(quality: ClassificationQuality) -> str:
    baseline = f"always answering the most frequent class ({percent(quality.majority)})"
    interval = percent_interval(quality.accuracy)
    if quality.accuracy.low > quality.majority:
        return f"The student is better than {baseline}: its interval is {interval}."
    return f"The student is not shown to be better than {baseline}: its interval is {interval}."


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"{len(seeds)} seeds" if len(seeds) > 1 else f"seed {seeds[0]}"
