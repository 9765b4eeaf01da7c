import time
from functools import partial

import pytest
import torch

from attndistill.measure import timing
from attndistill.measure.timing import cuda_seconds, time_in_turn, wall_seconds


def test_calls_take_turns_after_the_warm_up_and_slower_ones_take_longer():
    calls = []

    def run(name, seconds):
        calls.append(name)
        time.sleep(seconds)

    runs = {"slow": partial(run, "slow", 0.02), "quick": partial(run, "quick", 0.001)}
    times = time_in_turn(runs, seconds=0.0, rounds=(3, 9), warm_up=1, time_one=wall_seconds)
    warm_up, *rounds = (tuple(calls[place : place + 2]) for place in range(0, len(calls), 2))
    assert warm_up == ("slow", "quick")
    assert rounds == [("slow", "quick"), ("quick", "slow"), ("slow", "quick")]
    assert len(times["slow"]) == len(times["quick"]) == 3
    assert min(times["slow"]) >= 0.02 > min(times["quick"]) >= 0.001


def test_rounds_go_on_for_the_time_given_within_their_bounds(monkeypatch):
    def rounds_within(seconds):
        clock = iter(range(99))
        monkeypatch.setattr(timing.time, "perf_counter", lambda: next(clock))
        options = {"rounds": (3, 20), "warm_up": 0, "time_one": lambda _: 0.5}
        return list(time_in_turn({"a": tuple}, seconds=seconds, **options)["a"])

    assert [len(rounds_within(seconds)) for seconds in (0, 10, 60)] == [3, 13, 20]
    assert rounds_within(0) == [0.5] * 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_work_queued_on_a_gpu_is_timed_whole():
    matrix = torch.randn(8192, 8192, device="cuda")

    def products(count):
        for _ in range(count):
            matrix.mm(matrix)

    _, one, twenty = (cuda_seconds(partial(products, count)) for count in (1, 1, 20))
    assert twenty > 5 * one
