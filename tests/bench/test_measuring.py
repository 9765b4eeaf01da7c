from functools import partial

import pytest

from attndistill.bench.cases import Case
from attndistill.bench.contenders import contender_run, map_bytes
from attndistill.bench.resident_memory import MIB, peak_meter


@pytest.fixture(scope="module")
def meter():
    with peak_meter("cpu") as meter:
        if meter.unavailable:
            pytest.skip(meter.unavailable)
        yield meter


def test_peak_memory_of_maps_and_without(meter):
    case = Case(kind="kl", batch=1, heads=8, length=512, head_dim=64)
    one_map = map_bytes(case) / MIB
    dense = meter.peaks(partial(contender_run, case, "dense"))
    ours = meter.peaks(partial(contender_run, case, "blockwise-uncompiled"))
    # Scores of both sides, log-probabilities of both and a gradient at least.
    assert 5 * one_map <= min(dense) <= max(dense) <= 9 * one_map
    assert 1 < max(ours) < 0.5 * min(dense)


def test_a_failing_setup_says_what_failed(meter):
    case = Case(kind="nonsense", batch=1, heads=1, length=4, head_dim=4)
    with pytest.raises(ValueError, match="nonsense"):
        meter.peaks(partial(contender_run, case, "dense"))
