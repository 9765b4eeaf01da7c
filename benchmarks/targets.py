"""What this project's benchmarks are to show: ratios within one run, each with its limit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from attndistill.bench.contenders import HALF_LENGTH
from attndistill.bench.measurement import MEMORY, TIME, Measurement
from attndistill.bench.results import CaseFields, Results

TARGET_COLUMNS = ("target", "limit", "measured", "")

FP32, BF16 = {"dtype": "float32"}, {"dtype": "bfloat16"}
KL = {"kind": "kl", "batch": 1, "heads": 8, "head_dim": 64, "causal": False}
KL_2048 = {**KL, "length": 2048}
KL_128 = {"kind": "kl", "batch": 8, "heads": 12, "length": 128, "head_dim": 32}
SCORE_MSE = {**KL, **FP32, "kind": "score_mse"}
SCORE_MSE_CAUSAL = {**SCORE_MSE, "causal": True}
LENGTHS = (1024, 2048, 4096, 8192)


class Ratios(Results):
    """Ratios over several lengths, besides those on one case."""

    def memory_growth(
        self, contender: str, case: CaseFields, lengths: Sequence[int]
    ) -> float | None:
        """The largest factor of peak memory from one of the lengths to the next, its double."""
        medians = [self.median(contender, {**case, "length": n}, MEMORY) for n in lengths]
        known = [median for median in medians if median]
        if len(known) < len(medians):
            return None
        return max(after / before for before, after in zip(known, known[1:], strict=False))

    def share_of_dense_memory(self, contender: str, case: CaseFields, length: int) -> float | None:
        """Its peak memory at a length over the dense formulation's.

        Where dense was not measured at this length, its memory is that of the longest measured,
        times the square of the lengths' ratio.
        """
        own = self.median(contender, {**case, "length": length}, MEMORY)
        measured = sorted({row.length for row in self.rows if row.length <= length}, reverse=True)
        for shorter in measured:
            dense = self.median("dense", {**case, "length": shorter}, MEMORY)
            if own is not None and dense:
                return own / (dense * (length / shorter) ** 2)
        return None

    def worst_ratio(
        self, above: str, below: str, case: CaseFields, min_length: int
    ) -> float | None:
        """The largest ratio of times over all cases that fit and are at least so long."""
        sizes = {
            (row.length, row.batch, row.heads, row.head_dim)
            for row in self.rows
            if row.length >= min_length
        }
        names = ("length", "batch", "heads", "head_dim")
        ratios = [
            self.ratio(above, below, {**case, **dict(zip(names, size, strict=True))})
            for size in sizes
        ]
        return max((ratio for ratio in ratios if ratio is not None), default=None)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A ratio that is to be at least, or at most, its limit.

    Attributes:
        claim: what the ratio is.
        limit: the limit.
        at_least: whether the limit is the lower one.
        ratio: from the results; None where a row is missing.
    """

    claim: str
    limit: float
    at_least: bool
    ratio: Callable[[Ratios], float | None]

    def verdict(self, results: Ratios) -> tuple[float | None, str]:
        """The ratio, and whether the target is ``reached``, ``missed`` or ``not measured``."""
        ratio = self.ratio(results)
        if ratio is None:
            return None, "not measured"
        reached = ratio >= self.limit if self.at_least else ratio <= self.limit
        return ratio, "reached" if reached else "missed"


def targets_of(rows: Sequence[Measurement]) -> list[Target]:
    """The targets of a run's benchmark and device."""
    if not rows:
        return []
    if rows[0].benchmark == "step":
        return _step_targets()
    return _gpu_targets() if rows[0].device.startswith("cuda") else _cpu_targets()


def target_rows(rows: Sequence[Measurement]) -> Iterator[tuple[str, str, str, str]]:
    """One row of text for each target, see `TARGET_COLUMNS`."""
    results = Ratios(rows)
    for target in targets_of(rows):
        ratio, verdict = target.verdict(results)
        limit = f"{'≥' if target.at_least else '≤'} {target.limit:g}"
        yield target.claim, limit, "" if ratio is None else f"{ratio:.3g}", verdict


def _cpu_targets() -> list[Target]:
    return [
        _faster("KL N=2048 fp32", "dense", "blockwise", {**KL_2048, **FP32}, 3),
        _faster("KL N=2048 bf16", "dense", "blockwise", {**KL_2048, **BF16}, 2.5),
        _faster("KL N=2048 fp32", "dense", "blockwise-uncompiled", {**KL_2048, **FP32}, 2),
        _faster("KL N=128 fp32", "dense", "blockwise", {**KL_128, **FP32}, 1.5),
        _faster("KL N=128 bf16", "dense", "blockwise", {**KL_128, **BF16}, 1),
        _at_most(
            "KL N=2048 fp32: time of blockwise over its four matrix products",
            lambda results: results.ratio("blockwise", "matrix-products", {**KL_2048, **FP32}),
            1.4,
        ),
        _at_most(
            "KL N=8192 fp32: memory of blockwise over dense (by N² where it was not measured)",
            lambda results: results.share_of_dense_memory("blockwise", {**KL, **FP32}, 8192),
            0.05,
        ),
        _time_growth("KL fp32", {**KL, **FP32}, 4.2),
        _memory_growth("KL fp32: memory per doubling of N", "blockwise", {**KL, **FP32}),
        _faster("score_mse N=2048 fp32", "dense", "blockwise", {**SCORE_MSE, "length": 2048}, 6),
        _time_growth("score_mse", SCORE_MSE, 2.2),
        _time_growth("score_mse causal", SCORE_MSE_CAUSAL, 2.4),
    ]


def _gpu_targets() -> list[Target]:
    return [
        *(_flash(name, causal) for name, causal in (("full", False), ("causal", True))),
        _memory_growth(
            "KL bf16 fits at N=131072: its memory over that at N=65536",
            "triton",
            {"kind": "kl", "head_dim": 64, "causal": False, **BF16},
            lengths=(65536, 131072),
        ),
    ]


def _step_targets() -> list[Target]:
    targets = []
    for length, limit in ((128, 1.15), (512, 1.15), (1024, 1.2), (2048, 1.2)):
        targets.append(_step_ratio("logits-only", length, TIME, limit))
    targets.append(_step_ratio("logits-only", 2048, MEMORY, 1.15))
    for length in (1024, 2048):
        size = {"length": length}
        targets.append(_faster(f"step N={length}", "textbook-eager", "attention", size, 2))
        targets.append(_step_ratio("textbook-eager", length, MEMORY, 0.65))
    return targets


def _faster(claim: str, rival: str, ours: str, case: CaseFields, limit: float) -> Target:
    return Target(
        claim=f"{claim}: time of {rival} over {ours}",
        limit=limit,
        at_least=True,
        ratio=lambda results: results.ratio(rival, ours, case),
    )


def _at_most(claim: str, ratio: Callable[[Ratios], float | None], limit: float) -> Target:
    return Target(claim=claim, limit=limit, at_least=False, ratio=ratio)


def _time_growth(claim: str, case: CaseFields, limit: float) -> Target:
    return _at_most(
        f"{claim}: time per doubling of N, worst from 1024 to 8192",
        lambda results: results.worst_ratio("blockwise", HALF_LENGTH, case, 2048),
        limit,
    )


def _memory_growth(
    claim: str, contender: str, case: CaseFields, lengths: Sequence[int] = LENGTHS
) -> Target:
    return _at_most(claim, lambda results: results.memory_growth(contender, case, lengths), 2.1)


def _flash(name: str, causal: bool) -> Target:
    case = {"kind": "kl", "causal": causal, **BF16}
    return _at_most(
        f"KL {name} bf16, N ≥ 4096, D = 64 and 128: worst time of triton over sdpa-flash",
        lambda results: results.worst_ratio("triton", "sdpa-flash", case, 4096),
        1.3,
    )


def _step_ratio(rival: str, length: int, what: str, limit: float) -> Target:
    return _at_most(
        f"step N={length}: {'time' if what == TIME else 'memory'} of attention over {rival}",
        lambda results: results.ratio("attention", rival, {"length": length}, what),
        limit,
    )
