"""Figures of quality: every arm with its interval, and quality against cost."""

from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..errors import readable
from ..measure.costs import Cost
from ..measure.flops import Flops
from ..metrics.intervals import Interval
from ..metrics.quality import Quality
from ..metrics.scores import Unit
from .formatting import three_digits
from .schema import RunReport
from .svg import INK, MUTED, OTHER, STUDENT, TEACHER, WIDTH, inline_svg, page_style

LONGEST_NAME = 34
MARKERS = "osD^vP*X"


def arms_plot(report: RunReport) -> Markup | None:
    """The deciding metric of every arm with its interval, beside the baseline and the teacher."""
    arms = report.comparison.summaries
    quality = report.student.quality
    scale = _scale(quality)
    if not arms:
        return None
    with page_style():
        figure = Figure((WIDTH, 0.8 + 0.34 * len(arms)))
        axes = figure.add_subplot()
        for row, arm in enumerate(arms):
            is_reference = arm.name == report.comparison.reference
            if arm.score is not None:
                _interval(axes, arm.score, row, scale, STUDENT if is_reference else OTHER)
            for run in report.comparison.arms:
                if run.name == arm.name and len(arm.seeds) > 1:
                    value = scale * run.quality.decisive.value
                    axes.plot(value, row, "|", color=MUTED, markersize=7)
        _reference(axes, report)
        axes.set_yticks(range(len(arms)), [_short(arm.name) for arm in arms], color=INK)
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"{quality.deciding} on the test rows{_unit(quality)} (95 %)")
        return inline_svg(figure, f"{quality.deciding} of every arm with its 95 % interval")


def quality_cost_plot(report: RunReport) -> Markup | None:
    """Quality against FLOPs per example: the teacher and every arm, or else the student."""
    teacher, student = _flops(report.teacher.cost), _flops(report.student.cost)
    if teacher is None or student is None:
        return None
    quality = report.student.quality
    scale = _scale(quality)
    points = [("teacher", report.teacher.quality.decisive.interval, teacher)]
    flops = {arm.name: _flops(arm.cost) or student for arm in report.comparison.arms}
    points += [(arm.name, arm.score, flops[arm.name]) for arm in report.comparison.summaries]
    if not flops:
        points.append(("student", quality.decisive.interval, student))
    largest = max(each.total for _, _, each in points) / 1e9
    with page_style():
        figure = Figure((WIDTH, 2.5))
        axes = figure.add_subplot()
        for number, (name, score, each) in enumerate(points):
            if score is None:
                continue
            # Arms of one architecture cost the same: side by side, they stay apart.
            x = each.total / 1e9 + 0.008 * largest * max(0, number - 1)
            y = scale * score.value
            error = [[y - scale * score.low], [scale * score.high - y]]
            is_student = name in ("student", report.comparison.reference)
            colour = TEACHER if number == 0 else STUDENT if is_student else OTHER
            marker = MARKERS[number % len(MARKERS)]
            axes.errorbar(x, y, error, fmt=marker, color=colour, markersize=5.5, label=_short(name))
        axes.set_xlim(0, 1.1 * largest)
        axes.set_xlabel(f"GFLOPs per example of {student.input_size}")
        axes.set_ylabel(f"{quality.deciding}{_unit(quality)} (95 %)")
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        return inline_svg(figure, "Quality against FLOPs per example, with 95 % intervals")


def _flops(cost: Cost | None) -> Flops | None:
    return cost.flops if cost is not None else None


def _scale(quality: Quality) -> int:
    return 100 if quality.decisive.unit is Unit.SHARE else 1


def _unit(quality: Quality) -> str:
    return ", %" if quality.decisive.unit is Unit.SHARE else ""


def _interval(axes: Axes, score: Interval, row: int, scale: int, colour: str) -> None:
    ends = [scale * score.low, scale * score.high]
    axes.plot(ends, [row, row], color=colour, linewidth=2, solid_capstyle="butt")
    axes.plot(scale * score.value, row, "o", color=colour, markersize=5.5)
    axes.annotate(
        three_digits(scale * score.value),
        (scale * score.value, row),
        xytext=(0, 5),
        textcoords="offset points",
        ha="center",
        color=INK,
        fontsize=7.5,
    )


def _reference(axes: Axes, report: RunReport) -> None:
    teacher, scale = report.teacher.quality, _scale(report.teacher.quality)
    if interval := teacher.decisive.interval:
        band = (scale * interval.low, scale * interval.high)
        axes.axvspan(*band, color=TEACHER, alpha=0.13, linewidth=0)
    lines = [(teacher.decisive.value, "teacher", TEACHER)]
    if teacher.baseline is not None:
        lines.append((teacher.baseline.value, teacher.baseline.name, MUTED))
    for value, label, colour in lines:
        axes.axvline(scale * value, color=colour, linewidth=1.2, linestyle="--")
        axes.annotate(
            f"{label} {three_digits(scale * value)}",
            (scale * value, 1),
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            color=colour,
            fontsize=7.5,
        )


def _short(name: str) -> str:
    name = readable(name)
    # Arms differ at the end, where their last term stands.
    half = LONGEST_NAME // 2
    return name if len(name) <= LONGEST_NAME else f"{name[: half - 1]}…{name[-half:]}"
