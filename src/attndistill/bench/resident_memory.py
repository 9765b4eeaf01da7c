"""Peak memory of a call above what was allocated before it: inputs, weights, optimizer state.

On a GPU this is what the allocator handed out. On a CPU it is the resident memory of a process of
its own, which the kernel's and the compiler's scratch are part of: Linux keeps the peak
(``VmHWM``) and lets a process reset it. There the C allocator gives every large block back as it
is freed, so that no run reuses memory left over from another; as this costs time, memory and time
are never measured in one process.
"""

import gc
import multiprocessing
import os
import re
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import torch

from .cases import Run, Setup

STATUS = Path("/proc/self/status")
RESET = Path("/proc/self/clear_refs")
RESET_PEAK = "5"
MAX_RUNS = 3
# No further run after this.
SECONDS = 5.0
# Blocks from this many bytes on are mapped one by one and unmapped when freed (glibc).
ALLOCATOR = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
MIB = 2**20


class PeakMeter:
    """Measures peaks, on a CPU in a process of its own that is kept for the next measurement."""

    def __init__(self, device: str) -> None:
        self.device = device
        self._pool: ProcessPoolExecutor | None = None

    @property
    def unavailable(self) -> str | None:
        """Why memory cannot be measured here; None where it can."""
        if self.device == "cuda" or os.access(RESET, os.W_OK):
            return None
        return f"memory is not measured: on a CPU it needs Linux's {RESET}"

    def peaks(self, setup: Setup) -> list[float]:
        """The MiB of a few runs.

        Raises:
            MemoryError: the process ran out of memory.
        """
        if self.device == "cuda":
            return _peaks(setup(), self.device)
        if self._pool is None:
            self._pool = ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))
        try:
            with _allocator_environment():
                return self._pool.submit(_in_own_process, setup).result()
        except BrokenProcessPool as error:
            self._pool = None
            raise MemoryError("the measured process was killed, out of memory") from error

    def close(self) -> None:
        """End the process."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


@contextmanager
def peak_meter(device: str) -> Iterator[PeakMeter]:
    """A meter whose process ends with the context."""
    meter = PeakMeter(device)
    try:
        yield meter
    finally:
        meter.close()


@contextmanager
def _allocator_environment() -> Iterator[None]:
    """For processes started within: the C library reads it once, as they start."""
    before = {name: os.environ.get(name) for name in ALLOCATOR}
    os.environ.update(ALLOCATOR)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _in_own_process(setup: Setup) -> list[float]:
    return _peaks(setup(), "cpu")


def _peaks(run: Run, device: str) -> list[float]:
    run()  # compiles, and fills what libraries keep for later calls
    peaks: list[float] = []
    end = time.perf_counter() + SECONDS
    while len(peaks) < MAX_RUNS and (not peaks or time.perf_counter() < end):
        gc.collect()
        peaks.append((_cuda_peak(run) if device == "cuda" else _resident_peak(run)) / MIB)
    return peaks


def _cuda_peak(run: Run) -> int:
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() - before


def _resident_peak(run: Run) -> int:
    RESET.write_text(RESET_PEAK)
    before = _status_bytes("VmRSS")
    run()
    return _status_bytes("VmHWM") - before


def _status_bytes(field: str) -> int:
    match = re.search(rf"^{field}:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    assert match is not None
    return 1024 * int(match[1])
