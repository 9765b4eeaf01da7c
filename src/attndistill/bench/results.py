"""Ratios between measurements of one run."""

from collections.abc import Mapping, Sequence

from .measurement import MEMORY, TIME, Measurement

CaseFields = Mapping[str, object]


class Results:
    """Medians by contender and case; a case is given by some of a `Measurement`'s fields."""

    def __init__(self, rows: Sequence[Measurement]) -> None:
        self.rows = rows

    def median(self, contender: str, case: CaseFields, what: str = TIME) -> float | None:
        """The median of the one row that fits; None unless there is exactly one."""
        found = [
            row.median
            for row in self.rows
            if (row.contender, row.what) == (contender, what)
            and all(getattr(row, name) == value for name, value in case.items())
        ]
        return found[0] if len(found) == 1 else None

    def ratio(self, above: str, below: str, case: CaseFields, what: str = TIME) -> float | None:
        """One contender's median over another's on a case; None without either, or over 0."""
        top, bottom = self.median(above, case, what), self.median(below, case, what)
        return top / bottom if top is not None and bottom else None

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
