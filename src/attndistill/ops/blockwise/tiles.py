"""One pass over all tiles of a comparison."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..divergences import MASKED
from ..mask import Shape, Tile
from ..problem import Problem
from .compiled import Compare, comparison
from .gradients import Gradients, StudentGradients
from .tile_scores import SideScores, scores_view

# Scores of one tile and side: large enough for the matrix products, small enough for the cache,
# and for malloc to reuse the memory of the temporaries: with twice as many, pages fault again.
TILE_SCORES = 2**19
# On an accelerator: large enough that kernel launches do not dominate the time.
DEVICE_TILE_SCORES = 2**24
# Fewer rows make the matrix products inefficient, even if the tile outgrows the cache: every tile
# reads all keys. For heads that share keys, the minimum is in queries.
MIN_TILE_ROWS, MIN_TILE_QUERIES = 256, 32


class Sweep(NamedTuple):
    """The outcome of one pass."""

    values: Tensor
    """Weighted row values, ``[B, H, Q]``."""
    seen: Tensor
    """Whether a row sees a key (for raw scores: how many it sees), ``[B, H, Q]``."""
    gradients: Gradients


class Steps(NamedTuple):
    """How many batch entries, heads and queries make a tile."""

    batch: int
    heads: int
    queries: int


def sweep(problem: Problem, weights: Tensor | None, needs: tuple[bool, ...]) -> Sweep:
    """Passes over all tiles once.

    Args:
        problem: what to compare.
        weights: of the rows, broadcastable to ``[B, H, Q]``; None for all ones.
        needs: whether the gradients of query, key, bias and sinks are wanted.
    """
    with torch.no_grad(), torch.autocast(problem.device.type, enabled=False):
        return _Pass(problem, weights, needs).run()


class _Pass:
    def __init__(self, problem: Problem, weights: Tensor | None, needs: tuple[bool, ...]) -> None:
        batch, heads, queries, keys = shape = problem.shape
        self.problem = problem
        self.gradients = StudentGradients(problem.student, problem.dtype, needs)
        self.compare: Compare = comparison(math.prod(shape))
        self.with_sinks = problem.student.sinks is not None
        counted = torch.int64 if problem.divergence is None else torch.bool
        self.seen = torch.zeros((batch, heads, queries), dtype=counted, device=problem.device)
        self.values = self.seen.new_zeros(self.seen.shape, dtype=problem.dtype)
        self.weights = self.values.new_ones(()) if weights is None else weights
        self.weights = self.weights.expand(self.seen.shape)
        # Heads that share a key on any side stay together.
        self.unit = math.lcm(*(relation.group for relation in problem.relations))
        most = TILE_SCORES if problem.device.type == "cpu" else DEVICE_TILE_SCORES
        self.steps = _tile_steps(shape, self.unit, most)
        tile_scores = math.prod(self.steps) * (keys + self.with_sinks)
        self.scratch = [self.values.new_empty(tile_scores) for _ in problem.relations]
        self.gradient_scratch = None
        if self.gradients.wanted:
            self.gradient_scratch = self.values.new_empty(
                tile_scores, dtype=self.gradients.score_dtype
            )

    def run(self) -> Sweep:
        for batch in _slices(self.problem.shape.batch, self.steps.batch):
            sides = [
                SideScores(relation, batch, self.problem.temperature, scratch)
                for relation, scratch in zip(self.problem.relations, self.scratch, strict=True)
            ]
            self.gradients.begin(sides[0])
            for queries in _slices(self.problem.shape.queries, self.steps.queries):
                self._compare_queries(sides, batch, queries)
            self.gradients.end(batch)
        return Sweep(self.values, self.seen, self.gradients)

    def _compare_queries(self, sides: list[SideScores], batch: slice, queries: slice) -> None:
        """Compares these queries of all heads; their mask is evaluated once."""
        heads, keys = self.problem.shape.heads, self.problem.key_range(queries)
        visible = self.problem.visible(Tile(batch, slice(0, heads), queries, keys))
        seen, weights = self.seen[batch, :, queries], self.weights[batch, :, queries]
        if visible is None:
            seen.fill_(keys.stop - keys.start)
        else:
            seen.copy_(visible.sum(-1))
            weights = weights * (seen > 0)
            visible = visible.to(self.values.dtype)
        for units in _slices(heads // self.unit, self.steps.heads // self.unit):
            some = slice(units.start * self.unit, units.stop * self.unit)
            by_head = visible is not None and visible.shape[1] > 1
            part = visible[:, some] if visible is not None and by_head else visible
            self._compare_tile(sides, Tile(batch, some, queries, keys), part, weights[:, some])

    def _compare_tile(
        self, sides: list[SideScores], tile: Tile, visible: Tensor | None, weights: Tensor
    ) -> None:
        rows = [side.query_rows(tile) for side in sides]
        scores = [
            side.scores(tile, query_rows, sinks=self.with_sinks)
            for side, query_rows in zip(sides, rows, strict=True)
        ]
        if visible is not None:
            for side_scores in scores:
                self._hide(side_scores[..., : visible.shape[-1]], visible)
        gradient = None
        if self.gradient_scratch is not None:
            gradient = scores_view(self.gradient_scratch, tile, self.with_sinks)
        student, *teachers = (side_scores.view(-1, side_scores.shape[-1]) for side_scores in scores)
        values = self.compare(
            self.problem.divergence,
            student,
            teachers,
            weights.reshape(-1),
            None if gradient is None else gradient.view(student.shape),
        )
        self.values[tile[:3]] = values.view(weights.shape)
        if gradient is not None:
            self.gradients.add(sides[0], tile, rows[0], gradient)

    def _hide(self, scores: Tensor, visible: Tensor) -> None:
        if self.problem.divergence is None:
            scores.mul_(visible)
        else:  # several times faster than a fill by a mask
            scores.add_((visible - 1).mul_(-MASKED))


def _tile_steps(shape: Shape, unit: int, most: int) -> Steps:
    _, heads, queries, keys = shape
    rows = max(most // keys, MIN_TILE_ROWS)
    if rows >= heads * queries:
        return Steps(max(1, min(shape.batch, rows // max(1, heads * queries))), heads, queries)
    if rows >= unit * queries:
        return Steps(1, rows // (unit * queries) * unit, queries)
    return Steps(1, unit, min(queries, max(rows // unit, MIN_TILE_QUERIES)))


def _slices(size: int, step: int) -> Iterator[slice]:
    parts = math.ceil(size / max(1, step))
    for part in range(parts):
        yield slice(size * part // parts, size * (part + 1) // parts)
