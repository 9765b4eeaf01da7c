"""The report's tables as rows of text: the terminal and the HTML page show the same."""

from collections.abc import Callable
from dataclasses import dataclass

from .cost import Cost
from .metrics import Unit, metrics
from .report import ModelSection, RunReport
from .wording import count, joules, milliseconds, percent, percent_interval, size, times


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line that compares teacher and student.

    Attributes:
        name: of the figure.
        teacher: its value for the teacher.
        student: for the student.
        gain: teacher over student where that is a saving; empty otherwise.
    """

    name: str
    teacher: str
    student: str
    gain: str = ""


def quality_rows(report: RunReport) -> list[Row]:
    """Each metric of teacher and student on the test rows, with 95 % intervals."""
    teacher, student = _metric_texts(report.teacher), _metric_texts(report.student)
    return [
        Row(name=name, teacher=teacher.get(name, ""), student=student[name]) for name in student
    ]


def cost_rows(report: RunReport) -> list[Row]:
    """Parameters, size, FLOPs, latency, memory and energy; empty where not measured."""
    teacher, student = report.teacher.cost, report.student.cost
    if teacher is None or student is None:
        return []
    rows = [
        _ratio("parameters", teacher.parameters.total, student.parameters.total, count),
        _ratio("of them in layers", teacher.parameters.layers, student.parameters.layers, count),
        _ratio("FLOPs per example", teacher.flops.total, student.flops.total, count),
        _ratio("FLOPs of the layers", teacher.flops.layers, student.flops.layers, count),
        *(
            _ratio(f"latency, batch {ours.batch_size}, median", theirs.median_ms, ours.median_ms)
            for theirs, ours in zip(teacher.latency, student.latency, strict=True)
        ),
        *(
            _ratio(f"latency, batch {ours.batch_size}, p95", theirs.p95_ms, ours.p95_ms)
            for theirs, ours in zip(teacher.latency, student.latency, strict=True)
        ),
        _ratio("peak memory", teacher.peak_memory_bytes, student.peak_memory_bytes, size),
        _energy(teacher, student),
    ]
    if teacher.size_bytes and student.size_bytes:
        rows.insert(2, _ratio("weights on disk", teacher.size_bytes, student.size_bytes, size))
    return rows


def fidelity_rows(report: RunReport) -> list[Row]:
    """Mean KL(teacher ‖ student) per mapped layer, beside attention spread evenly, in nats."""
    return [
        Row(
            name=f"layer {layer.student_layer} ← {layer.teacher_layer}",
            teacher=f"{layer.mean_uniform:.4f}",
            student=f"{layer.mean:.4f}",
        )
        for layer in report.fidelity
    ]


def _metric_texts(model: ModelSection) -> dict[str, str]:
    texts = {}
    for metric in metrics(model.quality):
        text = percent(metric.value) if metric.unit is Unit.SHARE else f"{metric.value:.3f}"
        if metric.interval is not None:
            text += f" ({percent_interval(metric.interval)})"
        texts[metric.name] = text
    return texts


def _ratio(
    name: str, teacher: float, student: float, write: Callable[[float], str] = milliseconds
) -> Row:
    return Row(
        name=name, teacher=write(teacher), student=write(student), gain=times(teacher / student)
    )


def _energy(teacher: Cost, student: Cost) -> Row:
    return Row(
        name="energy per 1,000 inferences",
        teacher=joules(teacher.energy),
        student=joules(student.energy),
        gain=times(teacher.energy.joules / student.energy.joules),
    )
