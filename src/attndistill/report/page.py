"""The report as one self-contained HTML page."""

from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2 import select_autoescape as autoescape

from ..errors import readable
from ..measure.environment import counted
from ..metrics.intervals import RESAMPLES
from .attention_figures import fidelity_plot, heatmaps
from .claims import arm_claim, comparison_caveats, student_claims
from .formatting import duration, percent, short_path
from .headlines import cost_conditions, headlines
from .quality_figures import arms_plot, quality_cost_plot
from .schema import RunReport
from .tables import (
    ARM_COLUMNS,
    FIDELITY_COLUMNS,
    arm_rows,
    cost_rows,
    fidelity_rows,
    layer_maps,
    quality_rows,
)
from .training_figure import training_plot

TEMPLATE = "report.html"


def render_html(report: RunReport) -> str:
    """The page: no script, no outside request; text from the data is never markup."""
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=autoescape(["html"]),
        finalize=lambda value: readable(value) if type(value) is str else value,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": duration,
        "percent": percent,
        "short_path": short_path,
        "counted": counted,
    }
    return environment.get_template(TEMPLATE).render(_context(report))


def _context(report: RunReport) -> dict[str, Any]:
    quality = report.student.quality
    return {
        "report": report,
        "resamples": RESAMPLES,
        "headlines": headlines(report),
        "claims": student_claims(report),
        "arm_columns": ARM_COLUMNS,
        "arm_rows": arm_rows(report),
        "metric_name": quality.deciding,
        "arm_claims": [arm_claim(found, quality) for found in report.comparison.differences],
        "layer_maps": layer_maps(report),
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
