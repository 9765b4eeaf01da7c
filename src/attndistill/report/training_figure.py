"""The training curves: every logged quantity against the step."""

import math

from markupsafe import Markup
from matplotlib.figure import Figure

from ..errors import readable
from .schema import RunReport
from .svg import STUDENT, TEACHER, WIDTH, inline_svg, page_style

# Logged by Trainer beside the terms; not of interest as curves.
NOT_CURVES = ("epoch", "step", "total_flos", "grad_norm", "learning_rate", "num_input_tokens_seen")
NOT_CURVES_ENDS = ("_runtime", "_per_second")
CURVES_PER_ROW = 3


def training_plot(report: RunReport) -> Markup | None:
    """One small picture per logged term, training and validation together, each on its scale."""
    curves = training_curves(report.training.history)
    if not curves:
        return None
    with page_style():
        rows = math.ceil(len(curves) / CURVES_PER_ROW)
        figure = Figure((WIDTH, 0.1 + 1.45 * rows))
        for number, (name, lines) in enumerate(curves.items()):
            axes = figure.add_subplot(rows, CURVES_PER_ROW, number + 1)
            for label, points in lines.items():
                colour, marker = (STUDENT, "") if label == "training" else (TEACHER, "o")
                x, y = zip(*points, strict=True)
                marker = "o" if len(points) == 1 else marker
                axes.plot(x, y, color=colour, marker=marker, markersize=2.8, linewidth=1.3)
            axes.set_title(readable(name))
            axes.locator_params(nbins=4)
        return inline_svg(figure, "Training curves of every logged term")


def training_curves(
    history: tuple[dict[str, float], ...],
) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """By quantity, then "training" or "validation": its finite (step, value) points."""
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for entry in history:
        for name, value in entry.items():
            quantity = name.removeprefix("eval_")
            total = name.startswith("train_") or name.endswith(NOT_CURVES_ENDS)
            if total or quantity in NOT_CURVES or not math.isfinite(value):
                continue
            lines = curves.setdefault(quantity, {})
            label = "validation" if name.startswith("eval_") else "training"
            lines.setdefault(label, []).append((entry.get("step", 0), value))
    return curves
