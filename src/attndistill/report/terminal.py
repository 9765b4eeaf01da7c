"""The report in the terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .claims import arm_claim, comparison_caveats, student_claims
from .formatting import short_count
from .headlines import cost_conditions, headlines
from .schema import RunReport
from .tables import (
    ARM_COLUMNS,
    FIDELITY_COLUMNS,
    Row,
    arm_rows,
    cost_rows,
    fidelity_rows,
    layer_maps,
    metric_text,
    quality_rows,
    ratio_text,
)


def print_report(*reports: RunReport, console: Console | None = None) -> None:
    """Print each run's tables; several runs are also set side by side.

    Args:
        reports: of one or more runs.
        console: where to; standard output by default.
    """
    console = console or Console(highlight=False)
    for report in reports:
        _print_one(report, console)
    if len(reports) > 1:
        _side_by_side(reports, console)


def _print_one(report: RunReport, console: Console) -> None:
    for role, model in (("Teacher", report.teacher), ("Student", report.student)):
        _say(console, f"{role}: {model.name} ({model.architecture})")
    for headline in headlines(report):
        _say(console, f"{headline.figure:>8}  {headline.label} ({headline.detail})")
    for claim in student_claims(report):
        _say(console, claim)
    rows = report.student.quality.rows
    _two_models(console, f"Quality on {rows:,} test rows (95 % intervals)", quality_rows(report))
    _arms(console, report)
    if report.fidelity:
        table = _table("Attention: KL(teacher ‖ student); 0 is a copy", *FIDELITY_COLUMNS)
        for cells in fidelity_rows(report):
            table.add_row(*cells)
        console.print(table)
    if costs := cost_rows(report):
        _two_models(console, "Costs", costs, gain="times less")
        _say(console, cost_conditions(report), style="dim")
    for note in report.notes:
        _say(console, f"Note: {note}", style="yellow")
    if report.trust_remote_code:
        _say(console, "Note: code that came with a model was allowed to run.", style="yellow")


def _two_models(
    console: Console, title: str, rows: Sequence[Row], *, gain: str | None = None
) -> None:
    table = _table(title, "", "teacher", "student", *([gain] if gain else []))
    for row in rows:
        cells = [row.label, row.teacher, row.student, *([row.gain] if gain else [])]
        table.add_row(*map(Text, cells))
    console.print(table)


def _arms(console: Console, report: RunReport) -> None:
    comparison = report.comparison
    if not comparison.arms:
        return
    table = _table("Arms", *ARM_COLUMNS)
    for cells in arm_rows(report):
        table.add_row(*map(Text, cells))
    console.print(table)
    for difference in comparison.differences:
        _say(console, arm_claim(difference, report.student.quality))
    for caveat in comparison_caveats(comparison):
        _say(console, caveat, style="dim")


def _side_by_side(reports: Sequence[RunReport], console: Console) -> None:
    columns = ("student", "quality (95 %)", "relative to the teacher", "parameters", "layer map")
    table = _table("Side by side", *columns)
    for report in reports:
        quality, cost = report.student.quality, report.student.cost
        cells = [
            report.student.name,
            f"{quality.deciding} {metric_text(quality.decisive)}",
            ratio_text(quality),
            short_count(cost.parameters.total) if cost else "",
            layer_maps(report),
        ]
        table.add_row(*map(Text, cells))
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(title), title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(Text(column))
    return table


def _say(console: Console, text: str, style: str = "") -> None:
    """Print text as it is: names and labels may hold what rich would take for markup."""
    console.print(Text(text), style=style, highlight=False)
