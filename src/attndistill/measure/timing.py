"""Times of several calls, measured in turn so that a drift of the machine hits all alike."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch


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
    runs: Mapping[str, Callable[[], object]],
    *,
    seconds: float,
    rounds: tuple[int, int],
    warm_up: int,
    time_one: Callable[[Callable[[], object]], float],
) -> dict[str, np.ndarray]:
    """Time calls round by round, each name once per round and in reverse order every other round.

    Args:
        runs: by name, the call to time.
        seconds: rounds go on this long, within their bounds.
        rounds: the fewest and the most.
        warm_up: rounds before them that are not timed.
        time_one: the seconds of one call, such as `wall_seconds`.

    Returns:
        By name, the seconds of each round.
    """
    fewest, most = rounds
    order = list(runs)
    for _ in range(warm_up):
        for name in order:
            runs[name]()
    times: dict[str, list[float]] = {name: [] for name in order}
    end = time.perf_counter() + seconds
    for number in range(most):
        if number >= fewest and time.perf_counter() > end:
            break
        for name in order:
            times[name].append(time_one(runs[name]))
        order.reverse()
    return {name: np.array(times[name]) for name in runs}


def wall_seconds(run: Callable[[], object]) -> float:
    """Wall-clock seconds of a call that returns when its work is done."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def cuda_seconds(run: Callable[[], object]) -> float:
    """Seconds between two events on the current GPU, around the work that a call queues there."""
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / 1000
