"""One pass over all tiles of a comparison."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from .mask import Shape, Tile
from .problem import Problem
from .side import Side, StudentGradients
from .tile_loss import tile_loss

# Scores of one tile and side; a few such buffers should fit the processor's cache.
TILE_ELEMENTS = 2**18
# Fewer rows make the matrix products inefficient, even if the tile outgrows the cache.
MIN_TILE_ROWS = 32


class Sweep(NamedTuple):
    """The outcome of one pass."""

    values: Tensor | None
    """Weighted row values, ``[B, H, Q]``."""
    seen: Tensor
    """Whether a row sees a key (for raw scores: how many it sees), ``[B, H, Q]``."""
    gradients: StudentGradients


def sweep(
    problem: Problem, weights: Tensor | None, needs: tuple[bool, ...], *, want_values: bool
) -> Sweep:
    """Passes over all tiles once.

    Args:
        problem: what to compare.
        weights: of the rows, broadcastable to ``[B, H, Q]``; None for all ones.
        needs: whether the gradients of query, key, bias and sinks are wanted.
        want_values: whether the row values are wanted.
    """
    with torch.no_grad(), torch.autocast(problem.device.type, enabled=False):
        return _sweep(problem, weights, needs, want_values)


def _sweep(
    problem: Problem, weights: Tensor | None, needs: tuple[bool, ...], want_values: bool
) -> Sweep:
    batch_size, heads, queries, keys = problem.shape
    new = problem.student.query.new_zeros
    values = new((batch_size, heads, queries), dtype=problem.dtype) if want_values else None
    counted = torch.bool if problem.divergence else torch.int64
    seen = new((batch_size, heads, queries), dtype=counted)
    gradients = StudentGradients(problem.student, problem.dtype, needs)
    if weights is not None:
        weights = weights.expand(batch_size, -1, queries)

    for batch, tiles in _tiles(problem):
        sides = [
            Side(relation, batch, problem.temperature, problem.dtype)
            for relation in (problem.student, *problem.teachers)
        ]
        gradients.begin(sides[0])
        for tile, visible in tiles:
            rows = tile[:3]
            seen[rows] = _seen(visible, tile, counted)
            tile_weights = _tile_weights(weights, tile)
            if visible is not None:
                counts = (seen[rows] > 0).to(problem.dtype)
                tile_weights = counts if tile_weights is None else tile_weights * counts
            part = _compare(
                problem, sides, tile, visible, tile_weights, gradients, any(needs), want_values
            )
            if values is not None and part is not None:
                values[rows] = part
        gradients.end(batch)
    return Sweep(values, seen, gradients)


def _compare(
    problem: Problem,
    sides: list[Side],
    tile: Tile,
    visible: Tensor | None,
    weights: Tensor | None,
    gradients: StudentGradients,
    want_gradient: bool,
    want_values: bool,
) -> Tensor | None:
    student, *teachers = sides
    query_rows = student.query_rows(tile)
    scores, capped = student.scores(tile, query_rows)
    loss = tile_loss(
        problem.divergence,
        scores,
        [teacher.scores(tile, teacher.query_rows(tile))[0] for teacher in teachers],
        visible,
        weights,
        student.sinks(tile) if problem.divergence else None,
        [teacher.sinks(tile) if problem.divergence else None for teacher in teachers],
        want_values,
        want_gradient,
    )
    if loss.gradient is not None:
        gradients.add_bias(student, tile, loss.gradient)
        gradients.add_sinks(student, tile, loss.sink_gradient)
        product = student.product_gradient(loss.gradient, capped)
        gradients.add(student, tile, query_rows, product)
    return loss.values


def _tiles(
    problem: Problem,
) -> Iterator[tuple[slice, Iterator[tuple[Tile, Tensor | None]]]]:
    """Yields each slice of the batch with its tiles; a mask is evaluated once for all heads."""
    shape = problem.shape
    # Heads that share a key on any side stay together.
    unit = math.lcm(*(side.group for side in (problem.student, *problem.teachers)))
    batch_step, head_step, query_step = _tile_sizes(problem.shape, unit)

    def tiles_of(batch: slice) -> Iterator[tuple[Tile, Tensor | None]]:
        for queries in _slices(shape.queries, query_step):
            keys = problem.key_range(queries)
            visible = problem.visible(Tile(batch, slice(0, shape.heads), queries, keys))
            by_head = visible is not None and visible.shape[1] > 1
            for units in _slices(shape.heads // unit, head_step // unit):
                heads = slice(units.start * unit, units.stop * unit)
                mask = visible[:, heads] if visible is not None and by_head else visible
                yield Tile(batch, heads, queries, keys), mask

    for batch in _slices(shape.batch, batch_step):
        yield batch, tiles_of(batch)


def _tile_sizes(shape: Shape, unit: int) -> tuple[int, int, int]:
    """Returns how many batch entries, heads (a multiple of unit) and queries make a tile."""
    _, heads, queries, keys = shape
    rows = max(TILE_ELEMENTS // keys, MIN_TILE_ROWS)
    if rows >= heads * queries:
        return max(1, rows // max(1, heads * queries)), heads, queries
    if rows >= unit * queries:
        return 1, rows // (unit * queries) * unit, queries
    return 1, unit, max(rows // unit, MIN_TILE_ROWS)


def _slices(size: int, step: int) -> Iterator[slice]:
    parts = math.ceil(size / max(1, step))
    for part in range(parts):
        yield slice(size * part // parts, size * (part + 1) // parts)


def _seen(visible: Tensor | None, tile: Tile, dtype: torch.dtype) -> Tensor | int | bool:
    if visible is None:
        return tile.keys.stop - tile.keys.start if dtype == torch.int64 else True
    return visible.sum(-1) if dtype == torch.int64 else visible.any(-1)


def _tile_weights(weights: Tensor | None, tile: Tile) -> Tensor | None:
    if weights is None:
        return None
    heads = tile.heads if weights.shape[1] > 1 else slice(None)
    return weights[tile.batch, heads, tile.queries]
