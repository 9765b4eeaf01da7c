"""Losses are returned as a sum and a count, so that the caller normalises once."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class LossSum:
    """A sum of row losses with the number of rows it was taken over.

    Sums of parts (micro-batches, layers, processes) add up to the sum of the whole, so a loss
    normalised by the summed count does not depend on how the batch was split.

    Attributes:
        total: the sum, in float32 or float64, shape ``[]``, ``[H]`` or ``[B, H, Q]``.
        count: how many rows (for `score_mse`: visible pairs of a query and a key), same shape;
            int64, or floating where rows carry weights.

    Example:
        >>> first = LossSum(torch.tensor(3.0), torch.tensor(2))
        >>> second = LossSum(torch.tensor(1.0), torch.tensor(0))
        >>> (first + second).mean()
        tensor(2.)
    """

    total: Tensor
    count: Tensor

    def __post_init__(self) -> None:
        if self.total.shape != self.count.shape:
            raise ValueError(
                f"total and count must have one shape; got {list(self.total.shape)} and "
                f"{list(self.count.shape)}"
            )

    def __add__(self, other: "LossSum") -> "LossSum":
        if not isinstance(other, LossSum):
            return NotImplemented
        if self.total.shape != other.total.shape:
            raise ValueError(
                f"sums of different shapes cannot be added: {list(self.total.shape)} and "
                f"{list(other.total.shape)}; compute both with the same per="
            )
        return LossSum(self.total + other.total, self.count + other.count)

    def mean(self) -> Tensor:
        """Returns total / count, and 0 with its graph kept where nothing was counted."""
        return self.total / torch.where(self.count > 0, self.count, 1)
