"""Measure every contender of every case, and write each case's rows as soon as it is done."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ..errors import InputError
from ..measure.timing import cuda_seconds, time_in_turn, wall_seconds
from .cases import Entry, Run, Setup
from .measurement import MEMORY, TIME, Measurement, append_csv, check_columns, summarise
from .provenance import Stamp
from .resident_memory import PeakMeter, peak_meter

# At least and at most.
TIMED_ROUNDS = (3, 40)

Samples = dict[str, list[float]]
"""By contender, the values of its runs."""


def run_benchmark(
    benchmark: str,
    entries: Sequence[Entry],
    *,
    device: str,
    seconds: float,
    stamp: Stamp,
    output: Path,
    say: Callable[[str], None],
) -> tuple[list[Measurement], list[str]]:
    """Measure time and memory; a contender that fails is named, and the others are measured.

    Args:
        benchmark: ``ops`` or ``step``.
        entries: cases and contenders.
        device: of all of them.
        seconds: of timed rounds for each case.
        stamp: the rows' provenance.
        output: the CSV file; the rows of an earlier run are replaced.
        say: receives what goes on, line by line.

    Returns:
        The rows, and what failed with its reason.

    Raises:
        InputError: ``output`` cannot be written, or holds anything but the rows of an earlier run.
    """
    _make_room(output)
    rows: list[Measurement] = []
    failures: list[str] = []
    with peak_meter(device) as meter:
        if meter.unavailable:
            say(meter.unavailable)
        for number, entry in enumerate(entries, 1):
            say(f"[{number}/{len(entries)}] {entry.case.label}")
            before = len(failures)
            samples = {TIME: _times(entry, device, seconds, failures)}
            if not meter.unavailable:
                samples[MEMORY] = _peaks(entry, meter, failures)
            for failure in failures[before:]:
                say(f"  failed: {failure}")
            of_case = [
                summarise(
                    values,
                    stamp=stamp,
                    benchmark=benchmark,
                    case=entry.case,
                    contender=name,
                    what=what,
                    products=entry.products.get(name),
                )
                for what, by_name in samples.items()
                for name, values in by_name.items()
            ]
            append_csv(output, of_case)
            rows += of_case
            say(_line(of_case))
    return rows, failures


def _make_room(output: Path) -> None:
    try:
        if output.exists() and output.stat().st_size:
            check_columns(output)
        output.unlink(missing_ok=True)
        append_csv(output, [])
    except (OSError, UnicodeError) as error:
        raise InputError(f"cannot write the rows to {output}: {error}") from error
    except InputError as error:
        raise InputError(f"{error}; choose another --output, it is not replaced") from error


def _times(entry: Entry, device: str, seconds: float, failures: list[str]) -> Samples:
    runs: dict[str, Run] = {}

    def make(name: str, setup: Setup) -> None:
        run = setup()
        run()  # compiles
        runs[name] = run

    _each(entry, "time", make, failures)
    times = time_in_turn(
        runs,
        seconds=seconds,
        rounds=TIMED_ROUNDS,
        warm_up=0,
        time_one=cuda_seconds if device == "cuda" else wall_seconds,
    )
    return {name: (1000 * of_one).tolist() for name, of_one in times.items()}


def _peaks(entry: Entry, meter: PeakMeter, failures: list[str]) -> Samples:
    peaks: Samples = {}

    def measure(name: str, setup: Setup) -> None:
        if name not in entry.time_only:
            peaks[name] = meter.peaks(setup)

    _each(entry, "memory", measure, failures)
    return peaks


def _each(
    entry: Entry, what: str, measure: Callable[[str, Setup], None], failures: list[str]
) -> None:
    for name, setup in entry.setups.items():
        try:
            measure(name, setup)
        except Exception as error:  # a rival that breaks must not cost the others' numbers
            reason = (str(error).strip().splitlines() or ["no message"])[0]
            failures.append(
                f"{what} of {name}, {entry.case.label}: {type(error).__name__}: {reason}"
            )


def _line(rows: Sequence[Measurement]) -> str:
    units: Mapping[str, str] = {TIME: "ms", MEMORY: "MiB"}
    by_name: dict[str, list[str]] = {}
    for row in rows:
        by_name.setdefault(row.contender, []).append(f"{row.median:.4g} {units[row.what]}")
    return "  " + "; ".join(f"{name} {', '.join(parts)}" for name, parts in by_name.items())
