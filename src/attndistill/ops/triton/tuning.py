"""Block sizes of the kernels, found by measuring on an H100."""

from typing import Any, NamedTuple

from .operands import Arguments


class Blocks(NamedTuple):
    """A program's tile of queries and keys, its warps and its pipeline stages."""

    rows: int
    keys: int
    warps: int
    stages: int

    def constants(self) -> dict[str, Any]:
        """As launch arguments."""
        return {
            "BM": self.rows,
            "BN": self.keys,
            "num_warps": self.warps,
            "num_stages": self.stages,
        }


def blocks(kernel: str, given: Arguments) -> Blocks:
    """Returns the block sizes for a kernel."""
    halves = {side.query.dtype.itemsize for side in (given.student, given.teacher)} == {2}
    if kernel == "key_gradient" and halves and max(given.widths) <= 64:
        return Blocks(128, 64, 4, 2)
    if max(given.widths) <= 128:
        return Blocks(64, 64, 4, 2)
    return Blocks(32, 32, 4, 2) if halves else Blocks(16, 16, 4, 2)
