"""What was kept and what was gained, in one figure each."""

from collections.abc import Iterator
from dataclasses import dataclass

from ..measure.costs import Cost
from ..measure.energy import Energy, EnergySource
from ..measure.environment import counted
from ..measure.timing import Latency
from .formatting import (
    factor,
    joules,
    metric_value,
    milliseconds,
    percent_interval,
    short_count,
    three_digits,
)
from .schema import RunReport
from .tables import metric_text, ratio_text


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
    return " ".join(filter(None, _conditions(report, cost)))


def _conditions(report: RunReport, cost: Cost) -> Iterator[str]:
    if cost.latency:
        latency = cost.latency[-1]
        yield (
            f"Measured on rows of the test split's median length ({cost.latency[0].input_size}) "
            f"with {counted(latency.threads, 'thread')} on {report.environment.device.name}, "
            "teacher and student in turn."
        )
    if cost.flops is not None:
        yield "FLOPs count matrix products, a multiply–add as two."
    if cost.peak_memory_bytes is not None:
        yield "Peak memory is weights plus live tensors at the largest batch."
    if cost.energy is not None:
        yield _energy_condition(cost.energy)
    for role, model in (("teacher", report.teacher), ("student", report.student)):
        for figure, reason in (model.cost.missing if model.cost else {}).items():
            yield f"Not measured for the {role}: {figure} ({reason})."


def _kept(report: RunReport) -> Headline:
    quality = report.student.quality
    name, metric, ratio = quality.deciding, quality.decisive, quality.ratio
    if ratio is None:
        return Headline(
            label=f"student {name}",
            figure=metric_value(metric.value, metric.unit),
            detail=metric_text(metric),
        )
    values = (metric_value(m.value, m.unit) for m in (metric, report.teacher.quality.decisive))
    label, interval = f"of the teacher's {name} kept", percent_interval(ratio)
    if not metric.higher_is_better:
        label, interval = f"the teacher's {name}", f"{factor(ratio.low)} to {factor(ratio.high)}"
    return Headline(
        label=label,
        figure=ratio_text(quality),
        detail=f"95 % interval {interval}; {' against '.join(values)}",
    )


def _gains(teacher: Cost, student: Cost) -> Iterator[Headline]:
    """Gains in the costs that both models have."""
    if teacher.flops and student.flops:
        yield _gain(
            teacher.flops.total / student.flops.total,
            ("less", "more"),
            "computation",
            f"{short_count(teacher.flops.total)} → {short_count(student.flops.total)} FLOPs per "
            f"example of {student.flops.input_size}",
        )
    yield _gain(
        teacher.parameters.total / student.parameters.total,
        ("fewer", "more"),
        "parameters",
        f"{short_count(teacher.parameters.total)} → {short_count(student.parameters.total)}",
    )
    if teacher.latency and student.latency:
        yield _faster(teacher.latency, student.latency)
    if teacher.energy and student.energy:
        yield _gain(
            teacher.energy.joules / student.energy.joules,
            ("less", "more"),
            f"energy ({student.energy.source})",
            f"{three_digits(teacher.energy.joules)} → {joules(student.energy)} per 1,000 "
            "inferences",
        )


def _faster(teacher: tuple[Latency, ...], student: tuple[Latency, ...]) -> Headline:
    latencies = [
        f"{milliseconds(a.median_ms)} → {milliseconds(b.median_ms)}"
        for a, b in zip(teacher, student, strict=True)
    ]
    first, last = teacher[0].batch_size, teacher[-1].batch_size
    return _gain(
        teacher[-1].median_ms / student[-1].median_ms,
        ("faster", "slower"),
        f"at batch {last}",
        f"median {latencies[-1]}" + (f"; batch {first}: {latencies[0]}" if first != last else ""),
    )


def _gain(ratio: float, words: tuple[str, str], of_what: str, detail: str) -> Headline:
    """Teacher over student, or the other way round where the student needs more."""
    word = words[0] if ratio >= 1 else words[1]
    return Headline(figure=factor(max(ratio, 1 / ratio)), label=f"{word} {of_what}", detail=detail)


def _energy_condition(energy: Energy) -> str:
    match energy.source:
        case EnergySource.MEASURED:
            return (
                f"Energy is measured ({energy.method}) and includes idle draw and that of "
                "other programs."
            )
        case EnergySource.ESTIMATED:
            return (
                f"Energy is estimated: {energy.method} at batch {energy.batch_size}, so "
                "it adds nothing to what the latency says."
            )
