import numpy as np
import pytest

from attndistill.metrics.intervals import bootstrap


def test_the_seed_fixes_the_interval():
    rows = np.arange(91.0).reshape(1, 91, 1)
    first, again, other = (bootstrap(rows, lambda sums: sums[..., 0], seed=s) for s in (0, 0, 1))
    assert first == again
    assert first != other


def test_the_mean_over_seeds_resamples_both():
    generator = np.random.default_rng(0)

    def bootstrap_mean(scores):
        return bootstrap(scores[..., None], lambda sums: sums[..., 0] / scores.shape[1])

    rows_only = bootstrap_mean(generator.normal(size=(1, 500)))
    assert rows_only.high - rows_only.low == pytest.approx(2 * 1.96 / np.sqrt(500), rel=0.15)
    seeds_only = bootstrap_mean(np.repeat([[0.0], [1.0]], 500, axis=1))
    # Two values 0 and 1 stand for a normal with sd 0.71: t(0.975, 1)·0.71/√2 = 6.35 on each side,
    # of which the bootstrap's coarse ends (both seeds alike) give 0.5·√2·12.71/1.96.
    assert seeds_only.value == 0.5
    assert seeds_only.high == pytest.approx(0.5 + 0.5 * np.sqrt(2) * 12.706 / 1.96, rel=1e-3)
    assert seeds_only.low == pytest.approx(1 - seeds_only.high)


def test_intervals_over_few_seeds_hold_what_they_promise():
    generator = np.random.default_rng(0)
    held = 0
    for trial in range(200):
        # Five seeds, all of whose rows move together; the true mean is 0.
        rows = np.repeat(generator.normal(size=(5, 1, 1)), 20, axis=1)
        interval = bootstrap(rows, lambda sums: sums[..., 0] / 20, seed=trial)
        held += not interval.excludes(0.0)
    # 95 % less three standard errors; unwidened, it holds in 83 %.
    assert held / 200 > 0.90
