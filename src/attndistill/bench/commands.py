"""The commands of `attndistill bench`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import torch

from ..console import quieten_libraries, say
from ..errors import InputError
from .provenance import stamp
from .results_table import print_results
from .runner import run_benchmark

DEVICES = ("cpu", "cuda")
# Timed rounds of each case go on this long, if the fewest there are do not take longer.
SECONDS = {"ops": 10.0, "step": 30.0}
QUICK_SECONDS = 3.0


def bench(
    benchmark: str,
    *,
    device: str | None,
    quick: bool,
    only: Sequence[str],
    output: Path | None,
    commit: str | None,
) -> bool:
    """Measure, write the CSV and print the tables.

    Args:
        benchmark: ``ops`` or ``step``.
        device: ``cpu`` or ``cuda``; None for the GPU if there is one.
        quick: a few small cases.
        only: contenders to measure; empty for all.
        output: the CSV file; None for ``bench-BENCHMARK-DEVICE.csv``.
        commit: recorded in the rows; None for that of the source tree.

    Returns:
        Whether everything could be measured.

    Raises:
        InputError: an unknown device or contender, or nothing to measure.
    """
    device = _device(device)
    room = _room(benchmark)
    unknown = [name for name in only if name not in room.CONTENDERS]
    if unknown:
        raise InputError(f"unknown contender {unknown[0]!r}: choose {', '.join(room.CONTENDERS)}")
    entries = room.entries(device, quick=quick, only=only, say=say)
    if not entries:
        raise InputError(f"nothing to measure: no case on {device} has {', '.join(only)}")
    output = output or Path(f"bench-{benchmark}-{device}.csv")
    rows, failures = run_benchmark(
        benchmark,
        entries,
        device=device,
        seconds=QUICK_SECONDS if quick else SECONDS[benchmark],
        stamp=stamp(device, " ".join(["attndistill", *sys.argv[1:]]), commit),
        output=output,
        say=say,
    )
    print_results(rows)
    for failure in failures:
        say(f"Failed: {failure}")
    say(f"Wrote {output}")
    return not failures


def _room(benchmark: str) -> ModuleType:
    if benchmark == "ops":
        from . import losses

        return losses
    from . import training_steps

    quieten_libraries()
    return training_steps


def _device(device: str | None) -> str:
    if device is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device not in DEVICES:
        raise InputError(f"unknown device {device!r}: choose {', '.join(DEVICES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda needs a CUDA GPU that torch can use; none is visible")
    return device
