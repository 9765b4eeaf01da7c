"""Measurements as rows of a CSV file: what every table and figure is made from."""

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from ..errors import InputError
from .cases import Case
from .provenance import Stamp

TIME, MEMORY = "time_ms", "memory_mib"


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One quantity of one contender on one case.

    Attributes:
        commit, date, device, torch, command: see `Stamp`.
        benchmark: ``ops`` or ``step``.
        contender: its name.
        kind, dtype, batch, heads, length, head_dim, causal: see `Case`.
        what: ``time_ms`` of one forward and backward (ops) or one training step, or
            ``memory_mib``: peak memory over what was there before the call.
        median, q25, q75: over the runs.
        runs: how many.
        tflops: 1e12 floating-point operations of matrix products a second, at the median; None
            where they are not counted.
    """

    commit: str
    date: str
    device: str
    torch: str
    command: str
    benchmark: str
    contender: str
    kind: str
    dtype: str
    batch: int
    heads: int
    length: int
    head_dim: int
    causal: bool
    what: str
    median: float
    q25: float
    q75: float
    runs: int
    tflops: float | None = None


def summarise(
    values: Sequence[float],
    *,
    stamp: Stamp,
    benchmark: str,
    case: Case,
    contender: str,
    what: str,
    products: int | None = None,
) -> Measurement:
    """The row of some runs: their median and quartiles, to five digits."""
    q25, median, q75 = (float(f"{q:.5g}") for q in np.percentile(values, [25, 50, 75]))
    tflops = None
    if products is not None and what == TIME:
        tflops = float(f"{products * case.product_flops / median / 1e9:.3g}")
    size = {name: value for name, value in asdict(case).items() if name != "device"}
    return Measurement(
        **asdict(stamp),
        **size,
        benchmark=benchmark,
        contender=contender,
        what=what,
        median=median,
        q25=q25,
        q75=q75,
        runs=len(values),
        tflops=tflops,
    )


def append_csv(file: Path, rows: Sequence[Measurement]) -> None:
    """Add rows to a CSV file; a new file gets a header."""
    file.parent.mkdir(parents=True, exist_ok=True)
    is_new = not file.exists()
    with file.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Measurement)])
        if is_new:
            writer.writeheader()
        for row in rows:
            writer.writerow(asdict(row))


def read_csv(file: Path) -> list[Measurement]:
    """The rows of a CSV file.

    Raises:
        InputError: its columns are not those of a `Measurement`.
    """
    check_columns(file)
    with file.open(newline="", encoding="utf-8") as stream:
        return [_parsed(row) for row in csv.DictReader(stream)]


def check_columns(file: Path) -> None:
    """Refuse a file whose columns are not those of a `Measurement`; its rows are not read."""
    wanted = [field.name for field in fields(Measurement)]
    with file.open(newline="", encoding="utf-8") as stream:
        found = csv.DictReader(stream).fieldnames
    if found != wanted:
        raise InputError(
            f"{file} must have the columns {', '.join(wanted)}; it has "
            f"{', '.join(found or [])}. Write it with `attndistill bench`"
        )


def _parsed(row: dict[str, str]) -> Measurement:
    values: dict[str, object] = dict(row)
    values |= {name: int(row[name]) for name in ("batch", "heads", "length", "head_dim", "runs")}
    values |= {name: float(row[name]) for name in ("median", "q25", "q75")}
    values["causal"] = row["causal"] == "True"
    values["tflops"] = float(row["tflops"]) if row["tflops"] else None
    return Measurement(**values)  # type: ignore[arg-type]
