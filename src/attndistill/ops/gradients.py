"""The student's gradients, gathered tile by tile."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Protocol

import torch
from torch import Tensor

from .mask import Tile
from .relation import Relation
from .side import Side, broadcast_slice


class Gradients(Protocol):
    """What a pass returns gradients in."""

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Returns the gradients of query, key, bias and sinks; None for what needs none."""


def differentiable_once(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a backward refuse to run where its result would have to be differentiable itself.

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
    """Teachers that a backward reads again: notices that one was changed in place in between.

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


class StudentGradients:
    """Gradients of the student's tensors; None for what is not wanted.

    For float16 inputs they stay in float32, so that a loss scale that arrives in the backward
    does its work.
    """

    def __init__(self, relation: Relation, dtype: torch.dtype, needs: tuple[bool, ...]) -> None:
        self.query = _zeros(relation.query, dtype, needs[0])
        self.key = _zeros(relation.key, dtype, needs[1])
        self.bias = _zeros(relation.bias, dtype, needs[2], gathered=True)
        self.sinks = _zeros(relation.sinks, dtype, needs[3], gathered=True)
        self.wanted = any(needs)
        self.product_dtype = product_dtype(relation, dtype)
        # What else is made of the score gradients is made before they are rounded for the products.
        products_only = self.bias is None and self.sinks is None and relation.softcap is None
        self.score_dtype = self.product_dtype if products_only else dtype
        # Transposed, [b*Hk, D, K]: the faster way round for the product.
        self._key_sum: Tensor | None = None

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Returns the gradients of query, key, bias and sinks."""
        return self.query, self.key, self.bias, self.sinks

    def begin(self, side: Side) -> None:
        """Starts a slice of the batch."""
        if self.key is not None:
            self._key_sum = side.key.new_zeros(side.key.mT.shape)

    def add(self, side: Side, tile: Tile, query_rows: Tensor, gradient: Tensor) -> None:
        """Adds a tile's part.

        Args:
            side: the student's.
            tile: which.
            query_rows: the tile's queries as `Side.query_rows` gave them.
            gradient: with respect to the scores over T, ``[b, h, q, k]``; k + 1 with sinks.
        """
        if self.sinks is not None:
            self.sinks[tile.heads] += gradient[..., -1].sum((0, 2)) / side.temperature
        gradient = gradient[..., : tile.keys.stop - tile.keys.start]
        if self.bias is not None:
            place = broadcast_slice(self.bias, tile)
            place.add_(gradient.sum_to_size(place.shape), alpha=1 / side.temperature)
        product = side.product_gradient(gradient, tile, query_rows)
        product = product.reshape(*query_rows.shape[:2], -1).to(self.product_dtype)
        heads = side.key_heads(tile)
        if self.query is not None:
            key = side.key[heads, tile.keys].to(product.dtype)
            place = self.query[tile.batch, tile.heads, tile.queries]
            place.copy_(torch.bmm(product, key).mul_(side.factor).view(place.shape))
        if self._key_sum is not None:
            place = self._key_sum[heads, :, tile.keys]
            if product.dtype == place.dtype:
                place.baddbmm_(query_rows.mT, product)
            else:
                place.add_(torch.bmm(query_rows.to(product.dtype).mT, product))

    def end(self, batch: slice) -> None:
        """Ends a slice of the batch."""
        if self.key is not None and self._key_sum is not None:
            place = self.key[batch]
            place.copy_(self._key_sum.mT.view(place.shape))


def product_dtype(relation: Relation, dtype: torch.dtype) -> torch.dtype:
    """Returns the dtype of the products that form gradients: bfloat16 for bfloat16 inputs.

    Scores and their gradients are formed in float32 all the same; a processor that has bfloat16
    products is twice as fast in them.
    """
    if relation.query.dtype != torch.bfloat16 or dtype != torch.float32:
        return dtype
    on_cpu = relation.query.device.type == "cpu"
    return torch.bfloat16 if not on_cpu or _cpu_has_bfloat16_products() else dtype


def _cpu_has_bfloat16_products() -> bool:
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def _zeros(
    tensor: Tensor | None, dtype: torch.dtype, needed: bool, gathered: bool = False
) -> Tensor | None:
    if tensor is None or not needed:
        return None
    kept = tensor.dtype if tensor.dtype == torch.bfloat16 and not gathered else dtype
    return torch.zeros(tensor.shape, dtype=kept, device=tensor.device)
