"""Measurements as tables: rows of text, printed here and written into the docs elsewhere."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from .measurement import MEMORY, TIME, Measurement
from .results import Results

COLUMNS = (
    "loss",
    "dtype",
    "B×H×N×D",
    "contender",
    "ms (quartiles)",
    "time ×",
    "MiB",
    "memory ×",
    "TFLOP/s",
)
BASELINES = {"ops": "dense", "step": "logits-only"}
SHORT_DTYPES = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


def case_rows(rows: Sequence[Measurement]) -> Iterator[tuple[str, ...]]:
    """One row of text for each case and contender, see `COLUMNS`.

    Ratios are to the dense formulation (ops) or to the step with logits alone: how many times as
    long, or as much memory.
    """
    for case in _cases(rows):
        of_case = [row for row in rows if _case(row) == case]
        results, baseline = Results(of_case), BASELINES[of_case[0].benchmark]
        for name in dict.fromkeys(row.contender for row in of_case):
            first = next(row for row in of_case if row.contender == name)
            timed = next((r for r in of_case if (r.contender, r.what) == (name, TIME)), None)
            memory = results.median(name, {}, MEMORY)
            yield (
                f"{first.kind} causal" if first.causal else first.kind,
                SHORT_DTYPES.get(first.dtype, first.dtype),
                f"{first.batch}×{first.heads}×{first.length}×{first.head_dim}",
                name,
                _with_spread(timed) if timed else "",
                _number(results.ratio(name, baseline, {}, TIME), ".2f"),
                "" if memory is None else f"{memory:,.0f}",
                _number(results.ratio(name, baseline, {}, MEMORY), ".2f"),
                _number(timed.tflops if timed else None, ".3g"),
            )


def print_results(rows: Sequence[Measurement], console: Console | None = None) -> None:
    """Print all cases.

    Args:
        rows: of one run.
        console: where to; standard output by default.
    """
    if not rows:
        return
    console = console or Console(highlight=False)
    cases = _table(f"× {BASELINES[rows[0].benchmark]}", COLUMNS[3:])
    size: tuple[str, ...] = ()
    for cells in case_rows(rows):
        if cells[:3] != size:
            size = cells[:3]
            cases.add_row(f"[bold]{' '.join(size)}")
        cases.add_row(*cells[3:])
    console.print(cases)
    console.print(f"{rows[0].device}; torch {rows[0].torch}; commit {rows[0].commit}")


def _table(title: str, columns: Sequence[str]) -> Table:
    return Table(*columns, title=title, title_justify="left", box=box.SIMPLE, padding=(0, 1, 0, 0))


def _cases(rows: Sequence[Measurement]) -> list[tuple[object, ...]]:
    return list(dict.fromkeys(_case(row) for row in rows))


def _case(row: Measurement) -> tuple[object, ...]:
    return (row.kind, row.causal, row.dtype, row.batch, row.heads, row.length, row.head_dim)


def _with_spread(row: Measurement) -> str:
    median, q25, q75 = (
        f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
        for value in (row.median, row.q25, row.q75)
    )
    return f"{median} ({q25}–{q75})"


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
