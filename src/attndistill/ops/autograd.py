"""What every backend's backward guards against: second derivatives, and teachers that changed."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from .relation import Relation


def differentiable_once(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a backward refuse to run when its own result would have to be differentiable.

    PyTorch's own `once_differentiable` only objects later, or not at all: where the upstream
    gradient needs no gradient, second derivatives would silently be left out.
    """

    @wraps(backward)
    def checked(ctx: Any, *upstream: Tensor) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "the gradient of this attention loss cannot be differentiated again, which "
                'create_graph=True asks for; set impl="reference" for second derivatives'
            )
        return backward(ctx, *upstream)

    return checked


class Watched:
    """Teachers that a backward reads again; detects in-place changes made in between.

    PyTorch watches what is saved for the backward, but tensors made in inference mode cannot be
    saved (nor watched: they have no version).
    """

    def __init__(self, teachers: Sequence[Relation]) -> None:
        parts = [(t.query, t.key, t.bias, t.sinks) for t in teachers]
        tensors = [part for each in parts for part in each if part is not None]
        self._seen = [(part, part._version) for part in tensors if not part.is_inference()]

    def check(self) -> None:
        """Raises RuntimeError if one was changed."""
        if any(part._version != version for part, version in self._seen):
            raise RuntimeError(
                "a teacher's tensor that this attention loss needs in its backward has been "
                "modified by an inplace operation; give the loss a clone of it"
            )
