"""Time of several contenders, measured in turn so that a drift of the machine hits all alike."""

import time
from collections.abc import Mapping

import torch

from .cases import Run

MIN_ROUNDS = 3
MAX_ROUNDS = 40


def time_in_turn(runs: Mapping[str, Run], *, device: str, seconds: float) -> dict[str, list[float]]:
    """Time calls round by round: each name once a round, in reverse order every other round.

    Args:
        runs: by name, each called once before, so that nothing is compiled on the way.
        device: ``cuda`` calls are timed by events on the device.
        seconds: rounds go on this long, within MIN_ROUNDS and MAX_ROUNDS.

    Returns:
        By name, the milliseconds of each round.
    """
    order = list(runs)
    times: dict[str, list[float]] = {name: [] for name in order}
    end = time.perf_counter() + seconds
    for number in range(MAX_ROUNDS):
        if number >= MIN_ROUNDS and time.perf_counter() > end:
            break
        for name in order:
            times[name].append(_milliseconds(runs[name], device))
        order.reverse()
    return times


def _milliseconds(run: Run, device: str) -> float:
    if device == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end)
    began = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - began)
