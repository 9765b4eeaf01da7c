"""The student's gradients, gathered tile by tile."""

from typing import Protocol

import torch
from torch import Tensor

from ..mask import Tile
from ..relation import Relation
from .tile_scores import SideScores, broadcast_slice


class Gradients(Protocol):
    """The student's gradients, as a pass over the scores returns them."""

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Returns the gradients of query, key, bias and sinks; None for what needs none."""


class StudentGradients:
    """Gradients of the student's tensors; None for what is not wanted.

    For float16 inputs they stay in float32, so that they do not underflow before the backward
    applies the loss scale.
    """

    def __init__(self, relation: Relation, dtype: torch.dtype, needs: tuple[bool, ...]) -> None:
        self.query = _zeros(relation.query, dtype, needs[0])
        self.key = _zeros(relation.key, dtype, needs[1])
        self.bias = _zeros(relation.bias, dtype, needs[2], gathered=True)
        self.sinks = _zeros(relation.sinks, dtype, needs[3], gathered=True)
        self.wanted = any(needs)
        self.product_dtype = product_dtype(relation, dtype)
        # Score gradients are rounded early only if nothing but the products is computed from them.
        products_only = self.bias is None and self.sinks is None and relation.softcap is None
        self.score_dtype = self.product_dtype if products_only else dtype
        # Transposed, [b*Hk, D, K]: the faster way round for the product.
        self._key_sum: Tensor | None = None

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Returns the gradients of query, key, bias and sinks."""
        return self.query, self.key, self.bias, self.sinks

    def begin(self, side: SideScores) -> None:
        """Starts a slice of the batch."""
        if self.key is not None:
            self._key_sum = side.key.new_zeros(side.key.mT.shape)

    def add(self, side: SideScores, tile: Tile, query_rows: Tensor, gradient: Tensor) -> None:
        """Adds a tile's part.

        Args:
            side: the student's side of this slice of the batch.
            tile: the tile.
            query_rows: the tile's queries as `SideScores.query_rows` returned them.
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

    Scores and their gradients are still formed in float32; a processor with bfloat16 products
    computes these twice as fast.
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
