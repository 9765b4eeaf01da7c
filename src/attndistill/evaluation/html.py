"""The report as one self-contained HTML page."""

from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2 import select_autoescape as autoescape

from . import wording
from .claims import arm_claim, comparison_caveats, student_claims
from .headlines import cost_conditions, headlines
from .heatmaps import heatmaps
from .metrics import metrics
from .plots import arms_plot, fidelity_plot, quality_cost_plot, training_plot
from .report import RunReport
from .rows import FIDELITY_COLUMNS, cost_rows, fidelity_rows, metric_text, quality_rows
from .svg import readable

TEMPLATE = "report.html"


def render_html(report: RunReport) -> str:
    """The page: no script and no request to anywhere; what the data says is text, never markup."""
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": wording.percent,
        "points_interval": wording.points_interval,
        "percent_interval": wording.percent_interval,
        "points": wording.points,
        "duration": wording.duration,
        "readable": readable,
    }
    return environment.get_template(TEMPLATE).render(_context(report))


def _context(report: RunReport) -> dict[str, Any]:
    rows = report.student.quality.rows
    return {
        "report": report,
        "headlines": headlines(report),
        "claims": student_claims(report),
        "arms": [(arm, metric_text(metrics(arm.quality)[0])) for arm in report.comparison.arms],
        "metric_name": metrics(report.student.quality)[0].name,
        "arm_claims": [arm_claim(found, rows) for found in report.comparison.differences],
        "caveats": comparison_caveats(report.comparison),
        "quality_rows": quality_rows(report),
        "cost_rows": cost_rows(report),
        "fidelity_columns": FIDELITY_COLUMNS,
        "fidelity_rows": fidelity_rows(report),
        "cost_conditions": cost_conditions(report),
        "arms_plot": arms_plot(report),
        "quality_cost_plot": quality_cost_plot(report),
        "fidelity_plot": fidelity_plot(report),
        "training_plot": training_plot(report),
        "heatmaps": heatmaps(report.sample) if report.sample else [],
        "recipe": yaml.safe_dump(report.recipe, sort_keys=False, allow_unicode=True),
    }
