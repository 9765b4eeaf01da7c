"""The report as one self-contained page."""

import json
from importlib.resources import files

from jinja2 import Environment, StrictUndefined

from .claims import arm_claim, comparison_caveats, student_claims
from .heatmaps import heatmaps
from .metrics import metrics
from .plots import arms_plot, fidelity_plot, quality_cost_plot, training_plot
from .report import RunReport
from .rows import cost_rows, fidelity_rows, quality_rows
from .wording import count, duration, percent, percent_interval, times


def render_html(report: RunReport) -> str:
    """The page: no script, no request to anywhere; tokens, labels and paths are escaped."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {
        "count": count,
        "duration": duration,
        "percent": percent,
        "interval": percent_interval,
        "times": times,
    }
    source = files(__package__).joinpath("templates", "report.html").read_text(encoding="utf-8")
    rows = report.student.quality.rows
    return environment.from_string(source).render(
        report=report,
        gains=_gains(report),
        quality=quality_rows(report),
        costs=cost_rows(report),
        fidelity=fidelity_rows(report),
        student_claims=student_claims(report),
        arm_claims=[arm_claim(each, rows) for each in report.comparison.differences],
        caveats=comparison_caveats(report.comparison),
        metric=metrics(report.student.quality)[0].name,
        arms=[(arm, metrics(arm.quality)[0]) for arm in report.comparison.arms],
        plots={
            "arms": arms_plot(report),
            "cost": quality_cost_plot(report),
            "fidelity": fidelity_plot(report),
            "training": training_plot(report),
        },
        heatmaps=heatmaps(report.sample) if report.sample else [],
        recipe=json.dumps(report.recipe, indent=2, ensure_ascii=False),
    )


def _gains(report: RunReport) -> list[tuple[str, str]]:
    """What was gained, for the head of the page: (factor, of what)."""
    teacher, student = report.teacher.cost, report.student.cost
    if teacher is None or student is None:
        return []
    batch = student.latency[-1].batch_size
    factors = [
        (teacher.flops.layers / student.flops.layers, "fewer FLOPs in the layers"),
        (teacher.parameters.total / student.parameters.total, "fewer parameters"),
        (teacher.latency[0].median_ms / student.latency[0].median_ms, "faster, one at a time"),
        (teacher.latency[-1].median_ms / student.latency[-1].median_ms, f"faster, batch {batch}"),
        (
            teacher.energy.joules / student.energy.joules,
            f"less energy per inference ({student.energy.source})",
        ),
    ]
    return [(times(factor), what) for factor, what in factors]
