"""The report's tables as rows of text: the terminal and the HTML page show the same."""

from collections.abc import Callable
from dataclasses import dataclass

from ..measure.energy import Energy
from ..measure.fidelity import LayerFidelity
from ..measure.sample import LayerSample
from ..measure.timing import Latency
from ..metrics.quality import Quality
from ..metrics.scores import Metric, Unit
from .formatting import (
    byte_size,
    duration,
    factor,
    joules,
    metric_ratio,
    metric_value,
    metric_with_interval,
    milliseconds,
    nats,
    short_count,
)
from .schema import RunReport

FIDELITY_COLUMNS = (
    "layer",
    "mean KL, nats",
    "closest head",
    "furthest head",
    "spread evenly",
    "rows per head",
)

NOT_MEASURED = "not measured"

ARM_COLUMNS = (
    "arm",
    "seed",
    "terms",
    "quality (95 % interval)",
    "relative to the teacher",
    "training",
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line that compares teacher and student.

    Attributes:
        label: of the figure.
        teacher: its value for the teacher.
        student: for the student.
        gain: teacher over student where that is a saving; empty otherwise.
    """

    label: str
    teacher: str
    student: str
    gain: str = ""


def quality_rows(report: RunReport) -> list[Row]:
    """Each metric of teacher and student with its interval."""
    quality, of_teacher = report.student.quality, report.teacher.quality.metrics
    rows = [
        Row(
            label=name,
            teacher=metric_text(of_teacher[name]) if name in of_teacher else "",
            student=metric_text(metric),
        )
        for name, metric in quality.metrics.items()
    ]
    if quality.agreement is not None:
        agreement = metric_with_interval(quality.agreement, Unit.SHARE)
        rows.append(Row(label="agreement with the teacher", teacher="", student=agreement))
    if quality.baseline is not None:
        value = metric_value(quality.baseline.value, quality.decisive.unit)
        rows.append(Row(label=f"{quality.baseline.name} (baseline)", teacher=value, student=value))
    return rows


def cost_rows(report: RunReport) -> list[Row]:
    """Each cost of teacher or student, with how many times less the student's is."""
    teacher, student = report.teacher.cost, report.student.cost
    if teacher is None or student is None:
        return []
    larger, smaller = teacher.parameters, student.parameters
    peaks = (teacher.peak_memory_bytes, student.peak_memory_bytes)
    more, fewer = teacher.flops, student.flops
    total = (more.total if more else None, fewer.total if fewer else None)
    layers = (more.layers if more else None, fewer.layers if fewer else None)
    figures: list[tuple[str, int | None, int | None, Callable[[float], str]]] = [
        ("parameters", larger.total, smaller.total, short_count),
        ("… in embeddings", larger.embedding, smaller.embedding, short_count),
        ("… in transformer layers", larger.layers, smaller.layers, short_count),
        ("size on disk", teacher.size_bytes, student.size_bytes, byte_size),
        ("FLOPs per example", *total, short_count),
        ("… in transformer layers", *layers, short_count),
        ("peak memory of a forward", *peaks, byte_size),
    ]
    rows = [
        Row(
            label=label,
            teacher=NOT_MEASURED if a is None else write(a),
            student=NOT_MEASURED if b is None else write(b),
            gain=factor(a / b) if a and b else "",
        )
        for label, a, b, write in figures
        if a is not None or b is not None
    ]
    rows += [_latency_row(a, b) for a, b in zip(teacher.latency, student.latency, strict=True)]
    if teacher.energy is not None and student.energy is not None:
        rows.append(_energy_row(teacher.energy, student.energy))
    return rows


def fidelity_rows(report: RunReport) -> list[tuple[str, ...]]:
    """Per mapped layer: name, mean KL, closest and furthest head, even spread, rows per head."""
    several = len({layer.group for layer in report.fidelity}) > 1
    return [
        (
            pair_name(layer, several=several),
            nats(layer.mean),
            nats(min(layer.heads)),
            nats(max(layer.heads)),
            nats(layer.mean_uniform),
            f"{layer.rows:,}",
        )
        for layer in report.fidelity
    ]


def layer_maps(report: RunReport) -> str:
    """Which layers were compared: "encoder self-attention 0 ← 1, 1 ← 3; …"."""
    maps = [
        f"{group} " + ", ".join(f"{student} ← {teacher}" for student, teacher in pairs)
        for group, pairs in report.layer_map.items()
    ]
    return "; ".join(maps)


def pair_name(pair: LayerFidelity | LayerSample, *, several: bool) -> str:
    """Two layers: "student 0 ← teacher 1", with their group where there are several."""
    name = f"student {pair.student_layer} ← teacher {pair.teacher_layer}"
    return f"{pair.group}, {name}" if several else name


def arm_rows(report: RunReport) -> list[tuple[str, ...]]:
    """Every run of every arm, and an arm's mean over its seeds where it has several."""
    rows: list[tuple[str, ...]] = []
    for summary in report.comparison.summaries:
        for arm in report.comparison.arms:
            if arm.name != summary.name:
                continue
            rows.append(
                (
                    arm.name,
                    str(arm.seed),
                    " + ".join(arm.terms),
                    metric_text(arm.quality.decisive),
                    ratio_text(arm.quality),
                    duration(arm.training_seconds),
                )
            )
        if len(summary.seeds) > 1 and summary.score is not None:
            score = metric_with_interval(summary.score, report.student.quality.decisive.unit)
            rows.append((summary.name, f"mean of {len(summary.seeds)}", "", score, "", ""))
    return rows


def metric_text(metric: Metric) -> str:
    """A metric with its interval: "91.2 % (89.5–92.8 %)"."""
    if metric.interval is None:
        return metric_value(metric.value, metric.unit)
    return metric_with_interval(metric.interval, metric.unit)


def ratio_text(quality: Quality) -> str:
    """The deciding metric over the teacher's: "93.4 %", "1.08×"; empty where undefined."""
    if quality.ratio is None:
        return ""
    return metric_ratio(quality.ratio.value, higher_is_better=quality.decisive.higher_is_better)


def _latency_row(teacher: Latency, student: Latency) -> Row:
    return Row(
        label=f"latency, batch {teacher.batch_size} × {teacher.input_size} (median, p95)",
        teacher=f"{milliseconds(teacher.median_ms)}, {milliseconds(teacher.p95_ms)}",
        student=f"{milliseconds(student.median_ms)}, {milliseconds(student.p95_ms)}",
        gain=factor(teacher.median_ms / student.median_ms),
    )


def _energy_row(teacher: Energy, student: Energy) -> Row:
    return Row(
        label="energy of 1,000 inferences",
        teacher=joules(teacher),
        student=joules(student),
        gain=factor(teacher.joules / student.joules),
    )
