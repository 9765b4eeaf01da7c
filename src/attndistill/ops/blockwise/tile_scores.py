"""One side of a comparison, for one slice of the batch: its part of the tiles' matrix products."""

import torch
from torch import Tensor

from ..divergences import MASKED
from ..mask import Tile
from ..relation import Relation


class SideScores:
    """Scores of one relation, tile by tile.

    Heads that share a key are rows of one matrix product: keys are never repeated. The scale and
    the temperature are folded into the query rows, so that scores leave the product as z = S/T.
    A sink is a last column of the scores.
    """

    def __init__(
        self, relation: Relation, batch: slice, temperature: float, scratch: Tensor
    ) -> None:
        self.relation = relation
        self.temperature = temperature
        self.scratch = scratch
        self.factor = relation.scale / (relation.softcap or temperature)
        self.key = relation.key[batch].to(scratch.dtype).flatten(0, 1)

    def query_rows(self, tile: Tile) -> Tensor:
        """Returns the tile's queries times the factor, ``[b*hk, group*q, D]``."""
        query = self.relation.query[tile.batch, tile.heads, tile.queries]
        rows = self.scratch.new_empty(query.shape).copy_(query).mul_(self.factor)
        return rows.view(-1, self.relation.group * query.shape[2], query.shape[3])

    def key_heads(self, tile: Tile) -> slice:
        """Returns the tile's rows of the flattened ``[b*Hk, …]`` keys.

        A tile of several batch entries has all heads.
        """
        group, key_heads = self.relation.group, self.relation.key.shape[1]
        above = (tile.batch.stop - tile.batch.start - 1) * key_heads
        return slice(tile.heads.start // group, above + tile.heads.stop // group)

    def scores(self, tile: Tile, query_rows: Tensor, *, sinks: bool) -> Tensor:
        """Returns unmasked scores over T, ``[b, h, q, k]`` (k + 1 with sinks), in the scratch."""
        scores = scores_view(self.scratch, tile, sinks)
        key = self.key[self.key_heads(tile), tile.keys]
        products = scores[..., : key.shape[1]]
        torch.bmm(query_rows, key.mT, out=products.view(*query_rows.shape[:2], key.shape[1]))
        if self.relation.softcap is not None:
            products.tanh_().mul_(self.relation.softcap / self.temperature)
        if self.relation.bias is not None:
            bias = broadcast_slice(self.relation.bias, tile).to(scores.dtype)
            products.add_(bias, alpha=1 / self.temperature).clamp_min_(MASKED)
        if sinks and self.relation.sinks is not None:
            sink_scores = self.relation.sinks[tile.heads, None].to(scores.dtype)
            scores[..., -1] = sink_scores / self.temperature
        return scores

    def product_gradient(self, gradient: Tensor, tile: Tile, query_rows: Tensor) -> Tensor:
        """Carries a gradient from the scores over T to the product of query rows and keys."""
        if self.relation.softcap is None:
            return gradient
        key = self.key[self.key_heads(tile), tile.keys]
        capped = torch.bmm(query_rows, key.mT).tanh_().view(gradient.shape)
        slope = (1 - capped.square()) * (self.relation.softcap / self.temperature)
        return gradient * slope


def scores_view(scratch: Tensor, tile: Tile, sinks: bool) -> Tensor:
    """Returns a contiguous view of the scratch for a tile, with a column for sinks if any."""
    shape = [part.stop - part.start for part in tile]
    shape[-1] += sinks
    size = shape[0] * shape[1] * shape[2] * shape[3]
    return scratch[:size].view(shape)


def broadcast_slice(tensor: Tensor, tile: Tile) -> Tensor:
    """Returns the tile of a tensor ``[1 | B, 1 | H, Q, K]``."""
    batch = tile.batch if tensor.shape[0] > 1 else slice(None)
    heads = tile.heads if tensor.shape[1] > 1 else slice(None)
    return tensor[batch, heads, tile.queries, tile.keys]
