"""Latency of several models, measured in turn so that a drift of the machine hits all alike."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

WARM_UP_ROUNDS = 3
MIN_ROUNDS = 30
MAX_ROUNDS = 300


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Wall-clock time of one forward.

    Attributes:
        batch_size: examples per forward.
        input_size: of an example, padding included, such as "24 tokens".
        median_ms: milliseconds of the median forward.
        p95_ms: milliseconds that 95 % of the forwards stay under.
        runs: forwards measured.
        threads: CPU threads in use.
    """

    batch_size: int
    input_size: str
    median_ms: float
    p95_ms: float
    runs: int
    threads: int


def time_in_turn(
    runs: Mapping[str, Callable[[], object]], *, seconds: float
) -> dict[str, np.ndarray]:
    """Time calls round by round, each name once per round and in reverse order every other round.

    Args:
        runs: by name, a call that does (and finishes) one forward.
        seconds: rounds go on this long, within MIN_ROUNDS and MAX_ROUNDS.

    Returns:
        By name, the seconds of each round.
    """
    order = list(runs)
    for _ in range(WARM_UP_ROUNDS):
        for name in order:
            runs[name]()
    times: dict[str, list[float]] = {name: [] for name in order}
    end = time.perf_counter() + seconds
    for round_number in range(MAX_ROUNDS):
        if round_number >= MIN_ROUNDS and time.perf_counter() > end:
            break
        for name in order:
            start = time.perf_counter()
            runs[name]()
            times[name].append(time.perf_counter() - start)
        order.reverse()
    return {name: np.array(times[name]) for name in runs}


@contextmanager
def fixed_threads(threads: int | None) -> Iterator[int]:
    """Compute with this many CPU threads (None: as they are); restored on exit."""
    before = torch.get_num_threads()
    threads = before if threads is None else threads
    torch.set_num_threads(threads)
    try:
        yield threads
    finally:
        torch.set_num_threads(before)
