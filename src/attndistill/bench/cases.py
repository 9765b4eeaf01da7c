"""What is measured: one size of one problem, and the contenders measured on it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

Run = Callable[[], tuple[Tensor, ...]]
"""One forward and backward; whatever it returns is dropped before the next."""
Setup = Callable[[], Run]
"""Makes inputs or models, and the run on them; pickled for the process that measures memory."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One size of one problem.

    Attributes:
        kind: the loss: a divergence, or ``score_mse``.
        batch, heads, length, head_dim: B, H, N and D; there are as many queries as keys.
        dtype: of queries and keys, by torch's name.
        causal: whether a query sees the keys up to itself only.
        device: ``cpu`` or ``cuda``.
    """

    kind: str
    batch: int
    heads: int
    length: int
    head_dim: int
    dtype: str = "float32"
    causal: bool = False
    device: str = "cpu"

    @property
    def label(self) -> str:
        """The case in a few words."""
        causal = " causal" if self.causal else ""
        size = f"B={self.batch} H={self.heads} N={self.length} D={self.head_dim}"
        return f"{self.kind}{causal} {self.dtype} {size}"

    @property
    def product_flops(self) -> float:
        """Floating-point operations of one matrix product, 2·B·H·N²·D; half under a causal mask."""
        whole = 2.0 * self.batch * self.heads * self.length**2 * self.head_dim
        return whole / 2 if self.causal else whole


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A case and the contenders measured on it, in turn.

    Attributes:
        case: the size.
        setups: by the contender's name.
        products: by the contender's name, how many N×N×D matrix products it carries out; for
            TFLOP/s; left out where they are not counted.
        time_only: contenders whose memory is not comparable.
    """

    case: Case
    setups: Mapping[str, Setup]
    products: Mapping[str, int]
    time_only: frozenset[str] = frozenset()
