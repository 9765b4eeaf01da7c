"""Rows as a benchmark would have written them."""

from attndistill.bench.measurement import Measurement


def row(contender, median, **changes):
    values = {
        "commit": "abc123",
        "date": "2026-01-02",
        "device": "cpu: some processor, 2 threads",
        "torch": "2.13.0",
        "command": "attndistill bench ops",
        "benchmark": "ops",
        "contender": contender,
        "kind": "kl",
        "dtype": "float32",
        "batch": 1,
        "heads": 8,
        "length": 2048,
        "head_dim": 64,
        "causal": False,
        "what": "time_ms",
        "median": median,
        "q25": 0.9 * median,
        "q75": 1.1 * median,
        "runs": 5,
    }
    return Measurement(**values | changes)
