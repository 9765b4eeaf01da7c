"""What was kept and what was gained, in one figure each."""

from dataclasses import dataclass

from .cost import Cost
from .energy import EnergySource
from .report import RunReport
from .rows import metric_text, ratio_text
from .wording import count, figures, joules, measure, milliseconds, percent_interval, times


@dataclass(frozen=True, kw_only=True)
class Headline:
    """One figure of the first screen: the figure, what it is, and what it stands on."""

    figure: str
    label: str
    detail: str


def headlines(report: RunReport) -> list[Headline]:
    """What was kept, then what was gained."""
    kept = _kept(report)
    if report.teacher.cost is None or report.student.cost is None:
        return [kept]
    return [kept, *_gains(report.teacher.cost, report.student.cost)]


def cost_conditions(report: RunReport) -> str:
    """Under what conditions the costs were measured."""
    cost = report.student.cost
    if cost is None:
        return ""
    latency = cost.latency[-1]
    return (
        f"Measured on rows of the test split's median length ({cost.flops.input_size}) "
        f"with {latency.threads} thread{'s' if latency.threads > 1 else ''} on "
        f"{report.environment.device.name}, teacher and student in turn. FLOPs count matrix "
        "products, a multiply–add as two. Peak memory is weights plus live tensors at batch "
        f"{latency.batch_size}. {_energy_condition(cost)}"
    )


def _kept(report: RunReport) -> Headline:
    quality = report.student.quality
    name, metric, ratio = quality.deciding, quality.decisive, quality.ratio
    if ratio is None:
        return Headline(
            label=f"student {name}",
            figure=measure(metric.value, metric.unit),
            detail=metric_text(metric),
        )
    values = (measure(m.value, m.unit) for m in (metric, report.teacher.quality.decisive))
    label, interval = f"of the teacher's {name} kept", percent_interval(ratio)
    if not metric.higher_is_better:
        label, interval = f"the teacher's {name}", f"{times(ratio.low)} to {times(ratio.high)}"
    return Headline(
        label=label,
        figure=ratio_text(quality),
        detail=f"95 % interval {interval}; {' against '.join(values)}",
    )


def _gains(teacher: Cost, student: Cost) -> list[Headline]:
    latencies = [
        f"{milliseconds(a.median_ms)} → {milliseconds(b.median_ms)}"
        for a, b in zip(teacher.latency, student.latency, strict=True)
    ]
    first, last = teacher.latency[0].batch_size, teacher.latency[-1].batch_size
    return [
        _gain(
            teacher.flops.total / student.flops.total,
            ("less", "more"),
            "computation",
            f"{count(teacher.flops.total)} → {count(student.flops.total)} FLOPs per example "
            f"of {student.flops.input_size}",
        ),
        _gain(
            teacher.parameters.total / student.parameters.total,
            ("fewer", "more"),
            "parameters",
            f"{count(teacher.parameters.total)} → {count(student.parameters.total)}",
        ),
        _gain(
            teacher.latency[-1].median_ms / student.latency[-1].median_ms,
            ("faster", "slower"),
            f"at batch {last}",
            f"median {latencies[-1]}"
            + (f"; batch {first}: {latencies[0]}" if first != last else ""),
        ),
        _gain(
            teacher.energy.joules / student.energy.joules,
            ("less", "more"),
            f"energy ({student.energy.source})",
            f"{figures(teacher.energy.joules)} → {joules(student.energy)} per 1,000 inferences",
        ),
    ]


def _gain(ratio: float, words: tuple[str, str], of_what: str, detail: str) -> Headline:
    """Teacher over student, or the other way round where the student needs more."""
    word = words[0] if ratio >= 1 else words[1]
    return Headline(figure=times(max(ratio, 1 / ratio)), label=f"{word} {of_what}", detail=detail)


def _energy_condition(cost: Cost) -> str:
    match cost.energy.source:
        case EnergySource.MEASURED:
            return (
                f"Energy is measured ({cost.energy.method}) and includes idle draw and whatever "
                "else ran."
            )
        case EnergySource.ESTIMATED:
            return (
                f"Energy is estimated: {cost.energy.method} at batch {cost.energy.batch_size}, so "
                "it says nothing that the latency does not."
            )
