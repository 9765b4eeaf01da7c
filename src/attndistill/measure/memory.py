"""Peak memory of a forward: the weights and the tensors alive at the worst moment."""

import weakref
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from .inference import inference


def peak_memory(model: nn.Module, batch: dict[str, Tensor]) -> int:
    """Bytes of the model's weights and buffers plus the peak of live tensors in one forward.

    Counted at the operator level, hence the same on every machine; a kernel's own scratch and the
    allocator's slack are not in it.
    """
    weights = _storages([*model.parameters(), *model.buffers()])
    with inference(model), _LivePeak({*weights, *_storages(batch.values())}) as live:
        model(**batch)
    return sum(storage.nbytes() for storage in weights.values()) + live.peak


def _storages(tensors: Iterable[Tensor]) -> dict[int, torch.UntypedStorage]:
    """The distinct storages of the tensors."""
    return {tensor.untyped_storage()._cdata: tensor.untyped_storage() for tensor in tensors}


class _LivePeak(TorchDispatchMode):
    """Counts the bytes of tensors that operators make, until they are freed."""

    def __init__(self, existing: set[int]) -> None:
        super().__init__()
        self.existing = existing
        self.alive: dict[int, weakref.ref] = {}
        self.bytes = 0
        self.peak = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._track(leaf.untyped_storage())
        self.peak = max(self.peak, self.bytes)
        return result

    def _track(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key in self.alive or key in self.existing:
            return

        def freed(_: weakref.ref) -> None:
            self.bytes -= size
            del self.alive[key]

        self.alive[key] = weakref.ref(storage, freed)
        self.bytes += size
