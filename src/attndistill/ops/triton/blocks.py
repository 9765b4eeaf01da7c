"""What all kernels share: arguments, and one tile of queries and keys of one side.

Logits are scores over T in base 2, z = S / (T ln 2), so that P = 2^(z - lse). A tile has an axis of
queries and one of keys, ``[M, N]``, or transposed ``[N, M]`` where keys stay and queries move.
"""

from typing import Any, NamedTuple

import triton
import triton.language as tl

# Finite, so that a masked entry never makes inf - inf; far below any logit.
MASKED = tl.constexpr(-1e30)


class SidePointers(NamedTuple):
    """Pointers and strides (batch, head, row, teacher) of one side; rows are contiguous."""

    query: Any
    query_batch: Any
    query_head: Any
    query_row: Any
    query_teacher: Any
    key: Any
    key_batch: Any
    key_head: Any
    key_row: Any
    key_teacher: Any
    group: Any
    factor: Any
    """Factor from the product of a query and a key to its logit."""


class MaskPointers(NamedTuple):
    """Sizes, and what a query sees: keys with nearest <= q + offset - k <= farthest, and the rest.

    None means no bound, or no such part.
    """

    heads: Any
    queries: Any
    keys: Any
    offset: Any
    nearest: Any
    farthest: Any
    key_valid: Any
    """``[B, K]`` or None."""
    query_segments: Any
    """``[B, Q]`` or None."""
    key_segments: Any


@triton.jit
def load_block(
    base, start, row_stride, limit, EDGE: tl.constexpr, BLOCK: tl.constexpr, D: tl.constexpr
):
    """Loads rows [start, start + BLOCK) of a ``[limit, D]`` matrix; zeros outside it.

    The block is as wide as the power of two that holds D. Unless EDGE, all rows exist.
    """
    PAD: tl.constexpr = triton.next_power_of_2(D) if D > 16 else 16
    rows = start + tl.arange(0, BLOCK)
    width = tl.arange(0, PAD)
    pointers = base + rows[:, None].to(tl.int64) * row_stride + width[None, :]
    if EDGE:
        return tl.load(pointers, mask=(rows[:, None] < limit) & (width[None, :] < D), other=0.0)
    if D != PAD:
        return tl.load(pointers, mask=width[None, :] < D, other=0.0)
    return tl.load(pointers)


@triton.jit
def store_block(base, start, row_stride, limit, block, BLOCK: tl.constexpr, D: tl.constexpr):
    """Stores what `load_block` would load."""
    PAD: tl.constexpr = triton.next_power_of_2(D) if D > 16 else 16
    rows = start + tl.arange(0, BLOCK)
    width = tl.arange(0, PAD)
    pointers = base + rows[:, None].to(tl.int64) * row_stride + width[None, :]
    inside = (rows[:, None] < limit) & (width[None, :] < D)
    tl.store(pointers, block.to(base.dtype.element_ty), mask=inside)


@triton.jit
def query_base(side, batch, head, teacher):
    """Where the queries of a head begin."""
    place = batch.to(tl.int64) * side.query_batch + head.to(tl.int64) * side.query_head
    return side.query + place + side.query_teacher * teacher


@triton.jit
def key_base(side, batch, head, teacher):
    """Where the keys that a query head uses begin."""
    key_head = (head // side.group).to(tl.int64)
    place = batch.to(tl.int64) * side.key_batch + key_head * side.key_head
    return side.key + place + side.key_teacher * teacher


@triton.jit
def query_sides(
    student, teacher, mask, batch, head, row, BM: tl.constexpr, DS: tl.constexpr, DT: tl.constexpr
):
    """A block of queries of both sides (the first teacher's), and where their keys begin."""
    queries_s, queries_t = query_base(student, batch, head, 0), query_base(teacher, batch, head, 0)
    q_s = load_block(queries_s, row, student.query_row, mask.queries, True, BM, DS)
    q_t = load_block(queries_t, row, teacher.query_row, mask.queries, True, BM, DT)
    return q_s, q_t, key_base(student, batch, head, 0), key_base(teacher, batch, head, 0)


@triton.jit
def logits(query, key, factor, PRECISION: tl.constexpr, TRANSPOSED: tl.constexpr):
    """Unmasked logits of a tile."""
    if TRANSPOSED:
        products = tl.dot(key, tl.trans(query), input_precision=PRECISION)
    else:
        products = tl.dot(query, tl.trans(key), input_precision=PRECISION)
    return products * factor


@triton.jit
def hide(
    values,
    mask,
    batch,
    row,
    column,
    EDGE: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    TRANSPOSED: tl.constexpr,
):
    """Masks a tile of logits; unless EDGE, it lies wholly inside the band and the matrix."""
    rows = row + tl.arange(0, BLOCK_M)
    columns = column + tl.arange(0, BLOCK_N)
    if EDGE or mask.key_valid is not None:
        valid = columns < mask.keys
        if mask.key_valid is not None:
            places = mask.key_valid + batch.to(tl.int64) * mask.keys + columns
            valid = tl.load(places, mask=valid, other=0) != 0
        values += _as_columns(tl.where(valid, 0.0, MASKED), TRANSPOSED)
    if EDGE:
        distance = _as_rows(rows + mask.offset, TRANSPOSED) - _as_columns(columns, TRANSPOSED)
        if mask.nearest is not None:
            values = tl.where(distance >= mask.nearest, values, MASKED)
        if mask.farthest is not None:
            values = tl.where(distance <= mask.farthest, values, MASKED)
    if mask.query_segments is not None:
        places = mask.query_segments + batch.to(tl.int64) * mask.queries + rows
        query_segments = tl.load(places, mask=rows < mask.queries, other=0)
        places = mask.key_segments + batch.to(tl.int64) * mask.keys + columns
        key_segments = tl.load(places, mask=columns < mask.keys, other=0)
        same = _as_rows(query_segments, TRANSPOSED) == _as_columns(key_segments, TRANSPOSED)
        values = tl.where(same, values, MASKED)
    return values


@triton.jit
def per_row(values, TRANSPOSED: tl.constexpr):
    """Makes a vector over queries broadcast over a tile."""
    return _as_rows(values, TRANSPOSED)


@triton.jit
def load_rows(vector, mask, batch, head, row, outside, BLOCK: tl.constexpr):
    """Loads a block of a vector over rows ``[B, H, Q]``."""
    rows = row + tl.arange(0, BLOCK)
    place = (batch.to(tl.int64) * mask.heads + head) * mask.queries
    return tl.load(vector + place + rows, mask=rows < mask.queries, other=outside)


@triton.jit
def store_rows(vector, mask, batch, head, row, values, BLOCK: tl.constexpr):
    """Stores what `load_rows` would load."""
    rows = row + tl.arange(0, BLOCK)
    place = (batch.to(tl.int64) * mask.heads + head) * mask.queries
    tl.store(vector + place + rows, values, mask=rows < mask.queries)


@triton.jit
def key_bounds(row, mask, BM: tl.constexpr, BN: tl.constexpr):
    """Bounds of the keys that a block of queries sees: start, inner, outer, stop.

    Tiles in [inner, outer) lie wholly inside the band and the matrix.
    """
    first, last = row + mask.offset, row + mask.offset + BM - 1
    start, inner, outer, stop = 0, 0, mask.keys, mask.keys
    if mask.farthest is not None:
        start = tl.maximum(first - mask.farthest, 0) // BN * BN
        inner = tl.cdiv(tl.maximum(last - mask.farthest, 0), BN) * BN
    if mask.nearest is not None:
        stop = tl.minimum(last - mask.nearest + 1, mask.keys)
        outer = tl.maximum(tl.minimum(first - mask.nearest + 1, mask.keys), 0)
    return _ordered(start, inner, outer // BN * BN, stop)


@triton.jit
def query_bounds(column, mask, BM: tl.constexpr, BN: tl.constexpr):
    """The same bounds for the queries that see a block of keys."""
    first, last = column - mask.offset, column - mask.offset + BN - 1
    start, inner, outer, stop = 0, 0, mask.queries, mask.queries
    if mask.nearest is not None:
        start = tl.maximum(first + mask.nearest, 0) // BM * BM
        inner = tl.cdiv(tl.maximum(last + mask.nearest, 0), BM) * BM
    if mask.farthest is not None:
        stop = tl.minimum(last + mask.farthest + 1, mask.queries)
        outer = tl.maximum(tl.minimum(first + mask.farthest + 1, mask.queries), 0)
    return _ordered(start, inner, outer // BM * BM, stop)


@triton.jit
def part_bounds(part: tl.constexpr, bounds):
    """Bounds of one of three parts: the tiles before, inside and after the band's interior."""
    return bounds[part], bounds[part + 1]


@triton.jit
def _ordered(start, inner, outer, stop):
    # If no tile lies wholly inside, the last part takes them all.
    none = outer <= inner
    return start, tl.where(none, start, inner), tl.where(none, start, outer), stop


@triton.jit
def _as_rows(values, TRANSPOSED: tl.constexpr):
    return values[None, :] if TRANSPOSED else values[:, None]


@triton.jit
def _as_columns(values, TRANSPOSED: tl.constexpr):
    return values[:, None] if TRANSPOSED else values[None, :]
