"""Running sums of the objective's terms for logging: no synchronisation until they are read."""

from collections.abc import Mapping

import torch
from accelerate import Accelerator
from torch import Tensor


class Tally:
    """Sums of detached values by name, with the items they stand for.

    Attributes:
        steps: optimizer steps begun since it was last cleared.
    """

    def __init__(self) -> None:
        self.steps = 0
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, Tensor] = {}

    def add(self, values: Mapping[str, Tensor], counts: Mapping[str, Tensor] | None = None) -> None:
        """Add values, or means over ``counts`` items each."""
        for name, value in values.items():
            count = torch.ones_like(value) if counts is None else counts[name].to(value.dtype)
            added = value.detach() * count
            self._sums[name] = self._sums[name] + added if name in self._sums else added
            self._counts[name] = self._counts[name] + count if name in self._counts else count

    def sums(self, accelerator: Accelerator) -> dict[str, float]:
        """Sums over all processes."""
        return {name: _over_processes(value, accelerator) for name, value in self._sums.items()}

    def means(self, accelerator: Accelerator) -> dict[str, float]:
        """Means per item over all processes."""
        return {
            name: total / max(_over_processes(self._counts[name], accelerator), 1.0)
            for name, total in self.sums(accelerator).items()
        }

    def clear(self) -> None:
        """Reset the sums, the counts and the steps to 0."""
        self.steps = 0
        self._sums, self._counts = {}, {}


def _over_processes(value: Tensor, accelerator: Accelerator) -> float:
    return float(accelerator.reduce(value) if accelerator.num_processes > 1 else value)
