"""One side of a comparison, for one slice of the batch: its part of the tiles' matrix products."""

import torch
from torch import Tensor

from .divergences import MASKED
from .mask import Tile
from .relation import Relation


class Side:
    """Scores of one relation, tile by tile.

    Heads that share a key are rows of one matrix product: keys are never repeated. The scale and
    the temperature are folded into the query rows, so that scores leave the product as z = S/T.
    """

    def __init__(
        self, relation: Relation, batch: slice, temperature: float, dtype: torch.dtype
    ) -> None:
        self.relation = relation
        self.temperature = temperature
        self.dtype = dtype
        self.factor = relation.scale / (relation.softcap or temperature)
        self.key = relation.key[batch].to(dtype).flatten(0, 1)

    def query_rows(self, tile: Tile) -> Tensor:
        """Returns the tile's queries times the factor, ``[b*hk, group*q, D]``."""
        query = self.relation.query[tile.batch, tile.heads, tile.queries].to(self.dtype)
        rows = torch.empty(query.shape, dtype=self.dtype, device=query.device)
        torch.mul(query, self.factor, out=rows)
        return rows.view(-1, self.relation.group * query.shape[2], query.shape[3])

    def key_heads(self, tile: Tile) -> slice:
        """Returns the rows of the flattened ``[b*Hk, …]`` keys; a tile over batch has all heads."""
        group, key_heads = self.relation.group, self.relation.key.shape[1]
        above = (tile.batch.stop - tile.batch.start - 1) * key_heads
        return slice(tile.heads.start // group, above + tile.heads.stop // group)

    def scores(self, tile: Tile, query_rows: Tensor) -> tuple[Tensor, Tensor | None]:
        """Returns the unmasked scores over T, ``[b, h, q, k]``, and the softcap's tanh if any."""
        product = torch.bmm(query_rows, self.key[self.key_heads(tile), tile.keys].mT)
        scores = product.view(*(part.stop - part.start for part in tile))
        capped = None
        if self.relation.softcap is not None:
            capped = scores.tanh_()
            scores = capped * (self.relation.softcap / self.temperature)
        if self.relation.bias is not None:
            bias = _broadcast_slice(self.relation.bias, tile).to(self.dtype) / self.temperature
            scores = (scores + bias).clamp_min(MASKED)
        return scores, capped

    def sinks(self, tile: Tile) -> Tensor | None:
        """Returns the sinks over T, ``[h]``."""
        if self.relation.sinks is None:
            return None
        return self.relation.sinks[tile.heads].to(self.dtype) / self.temperature

    def product_gradient(self, gradient: Tensor, capped: Tensor | None) -> Tensor:
        """Carries a gradient from the scores over T to the product of query rows and keys."""
        if capped is None or self.relation.softcap is None:
            return gradient
        return gradient * (1 - capped.square()) * (self.relation.softcap / self.temperature)


class StudentGradients:
    """Gradients of the student's tensors, gathered tile by tile; None for what is not wanted.

    For float16 inputs they stay in float32, so that a loss scale that arrives in the backward
    does its work.
    """

    def __init__(self, relation: Relation, dtype: torch.dtype, needs: tuple[bool, ...]) -> None:
        self.dtype = dtype
        self.query, self.key, self.bias, self.sinks = (
            tensor.new_zeros(tensor.shape, dtype=_kept_dtype(tensor.dtype, sums, dtype))
            if needed and tensor is not None
            else None
            for tensor, needed, sums in zip(
                (relation.query, relation.key, relation.bias, relation.sinks),
                needs,
                (False, False, True, True),
                strict=True,
            )
        )
        self._key_sum: Tensor | None = None

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Returns the gradients of query, key, bias and sinks."""
        return self.query, self.key, self.bias, self.sinks

    def begin(self, side: Side) -> None:
        """Starts a slice of the batch."""
        if self.key is not None:
            self._key_sum = torch.zeros_like(side.key, memory_format=torch.contiguous_format)

    def add(self, side: Side, tile: Tile, query_rows: Tensor, product: Tensor) -> None:
        """Adds what a tile's product gradient ``[b, h, q, k]`` gives the query and the key."""
        product = product.reshape(query_rows.shape[0], query_rows.shape[1], -1)
        heads = side.key_heads(tile)
        if self.query is not None:
            query = torch.bmm(product, side.key[heads, tile.keys]) * side.factor
            place = self.query[tile.batch, tile.heads, tile.queries]
            place.copy_(query.view(place.shape))
        if self._key_sum is not None:
            self._key_sum[heads, tile.keys].baddbmm_(product.mT, query_rows)

    def add_bias(self, side: Side, tile: Tile, scores: Tensor) -> None:
        """Adds what the gradient of the scores over T, ``[b, h, q, k]``, gives the bias."""
        if self.bias is not None:
            place = _broadcast_slice(self.bias, tile)
            place.add_((scores / side.temperature).sum_to_size(place.shape))

    def add_sinks(self, side: Side, tile: Tile, sinks: Tensor | None) -> None:
        """Adds the gradient of the sinks over T, ``[b, h, q]``."""
        if self.sinks is not None and sinks is not None:
            self.sinks[tile.heads] += sinks.sum((0, 2)) / side.temperature

    def end(self, batch: slice) -> None:
        """Ends a slice of the batch."""
        if self.key is not None and self._key_sum is not None:
            place = self.key[batch]
            place.copy_(self._key_sum.view(place.shape))


def _broadcast_slice(tensor: Tensor, tile: Tile) -> Tensor:
    batch = tile.batch if tensor.shape[0] > 1 else slice(None)
    heads = tile.heads if tensor.shape[1] > 1 else slice(None)
    return tensor[batch, heads, tile.queries, tile.keys]


def _kept_dtype(own: torch.dtype, summed: bool, compute: torch.dtype) -> torch.dtype:
    return own if own == torch.bfloat16 and not summed else compute
