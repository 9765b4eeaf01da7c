"""95 % intervals by the paired bootstrap over rows (Efron & Tibshirani 1993)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy import stats

RESAMPLES = 2000
COVERAGE = 0.95
# Resample counts are drawn in blocks of about this many numbers (32 MB).
BLOCK_NUMBERS = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A measured value and its 95 % interval."""

    value: float
    low: float
    high: float

    def excludes(self, number: float) -> bool:
        """Whether the interval lies wholly on one side of ``number``."""
        return self.low > number or self.high < number


def bootstrap(
    rows: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray], *, seed: int = 0
) -> Interval | None:
    """The percentile bootstrap interval of a statistic of column sums, mean over training seeds.

    Rows and seeds are both resampled. With one seed the interval covers the choice of rows only.
    S resampled seeds spread too little: by √((S − 1)/S), and as if S values had the normal's tails
    where they have those of Student's t. The seeds' part of each resample is widened by both
    (Hesterberg 2015, "What Teachers Should Know About the Bootstrap").

    Models are compared in pairs by putting both models' answers to a row into that row's numbers.

    Args:
        rows: [S, N, K], what each row adds to each of K sums under each seed.
        statistic: maps sums [..., K] to values [...]; may give NaN where it is undefined.
        seed: of the resampling.

    Returns:
        The mean statistic of all rows with its interval, or None where it is undefined.
    """
    seeds, count, width = rows.shape
    value = float(statistic(rows.sum(1, dtype=np.float64)).mean())
    if not np.isfinite(value):
        return None
    generator = np.random.default_rng([seed, seeds])
    by_row = rows.astype(np.float64).transpose(1, 0, 2).reshape(count, seeds * width)
    kinds, frequencies = np.unique(by_row, axis=0, return_counts=True)
    values = []
    for times_drawn in _draws(frequencies, seed):
        per_seed = statistic((times_drawn @ kinds).reshape(-1, seeds, width))
        seeds_drawn = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=len(per_seed))
        mean = per_seed.mean(1)
        by_seed = (seeds_drawn * per_seed).sum(1) / seeds - mean
        values.append(mean + _widening(seeds) * by_seed)
    return _percentile_interval(value, np.concatenate(values))


def of_share(interval: Interval, rows: int) -> Interval:
    """The interval of a share of rows: within 0 and 1, and never without width.

    Where all rows are hits, or none, every resample is alike: there the exact binomial interval
    is taken (Clopper & Pearson 1934), which ends at 0.025^(1/rows).
    """
    low, high = max(interval.low, 0.0), min(interval.high, 1.0)
    nearest_miss = ((1 - COVERAGE) / 2) ** (1 / rows)
    if low == 1.0:
        low = nearest_miss
    if high == 0.0:
        high = 1 - nearest_miss
    return Interval(interval.value, low, high)


def _widening(seeds: int) -> float:
    """How much wider the mean of ``seeds`` values spreads than its bootstrap."""
    if seeds == 1:
        return 1.0
    quantile = (1 + COVERAGE) / 2
    tails = stats.t.ppf(quantile, seeds - 1) / stats.norm.ppf(quantile)
    return float(np.sqrt(seeds / (seeds - 1)) * tails)


def _draws(frequencies: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """How often each kind of row is drawn in each resample, in blocks [R, kinds].

    Equal rows need not be drawn one by one: a resample of N rows draws each kind of row in
    proportion to its frequency. Few kinds make this thousands of times faster than drawing rows.
    """
    generator = np.random.default_rng(seed)
    count, kinds = frequencies.sum(), len(frequencies)
    block = max(1, BLOCK_NUMBERS // kinds)
    for start in range(0, RESAMPLES, block):
        size = min(block, RESAMPLES - start)
        yield generator.multinomial(count, frequencies / count, size=size)


def _percentile_interval(value: float, resampled: np.ndarray) -> Interval:
    tail = 100 * (1 - COVERAGE) / 2
    low, high = np.nanpercentile(resampled, [tail, 100 - tail])
    return Interval(value, float(low), float(high))
