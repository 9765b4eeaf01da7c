"""The report in the terminal."""

from rich.console import Console
from rich.table import Table

from .claims import arm_claim, comparison_caveats, student_claims
from .metrics import metrics
from .report import RunReport
from .rows import Row, cost_rows, fidelity_rows, quality_rows
from .wording import duration, percent, percent_interval


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
        _print_side_by_side(reports, console)


def _print_one(report: RunReport, console: Console) -> None:
    retained = report.student.quality.share_retained
    console.print()
    if retained is not None:
        console.print(
            f"The student keeps {percent(retained.value)} of its teacher's accuracy "
            f"(95 % interval {percent_interval(retained)})."
        )
    test_rows = report.student.quality.rows
    _print_rows(f"On {test_rows:,} test rows (95 % intervals)", quality_rows(report), console)
    _print_rows("Costs", cost_rows(report), console, gain="teacher / student")
    _print_rows(
        "Attention: mean KL from the teacher, nats",
        fidelity_rows(report),
        console,
        columns=("spread evenly", "student"),
    )
    _print_arms(report, console)
    for line in (*student_claims(report), *report.notes):
        console.print(line, markup=False)


def _print_rows(
    title: str,
    rows: list[Row],
    console: Console,
    *,
    columns: tuple[str, str] = ("teacher", "student"),
    gain: str = "",
) -> None:
    if not rows:
        return
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in (*columns, *([gain] if gain else [])):
        table.add_column(name, justify="right")
    for row in rows:
        cells = (row.name, row.teacher, row.student, *([row.gain] if gain else []))
        table.add_row(*cells)
    console.print(table)


def _print_arms(report: RunReport, console: Console) -> None:
    comparison = report.comparison
    if not comparison.summaries:
        return
    table = Table(title="Arms: equal data, budget and seeds", title_justify="left")
    for name in ("arm", "seed", metrics(report.student.quality)[0].name, "training"):
        table.add_column(name, justify="left" if name == "arm" else "right")
    for arm in comparison.arms:
        accuracy = metrics(arm.quality)[0]
        interval = f" ({percent_interval(accuracy.interval)})" if accuracy.interval else ""
        table.add_row(
            arm.name,
            str(arm.seed),
            percent(accuracy.value) + interval,
            duration(arm.training_seconds),
        )
    if any(len(summary.seeds) > 1 for summary in comparison.summaries):
        for summary in comparison.summaries:
            score = f"{percent(summary.score.value)} ({percent_interval(summary.score)})"
            table.add_row(summary.name, "mean", score, "")
    console.print(table)
    rows = report.student.quality.rows
    claims = [arm_claim(difference, rows) for difference in comparison.differences]
    for line in (*claims, *comparison_caveats(comparison)):
        console.print(line, markup=False)


def _print_side_by_side(reports: tuple[RunReport, ...], console: Console) -> None:
    table = Table(title="Side by side", title_justify="left")
    for name in ("run", "accuracy", "retained", "parameters", "layer map"):
        table.add_column(name)
    for report in reports:
        quality, cost = report.student.quality, report.student.cost
        retained = quality.share_retained
        table.add_row(
            str(report.recipe.get("output_dir", "")),
            f"{percent(quality.accuracy.value)} ({percent_interval(quality.accuracy)})",
            percent(retained.value) if retained else "",
            f"{cost.parameters.total:,}" if cost else "",
            ", ".join(f"{student}←{teacher}" for student, teacher in report.layer_map),
        )
    console.print(table)
