"""Ratios between measurements of one run."""

from collections.abc import Mapping, Sequence

from .measurement import TIME, Measurement

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
