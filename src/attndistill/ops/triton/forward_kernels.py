"""Kernels of the forward: the log normalisers of the rows, and their losses.

KL and reverse KL take one pass: with P the weighting side, KL = E_P[z - z'] - lse + lse'. The
others take a second pass over the tiles once the normalisers are known; so do these two where their
value must be exact near convergence.
"""

import triton
import triton.language as tl

from .averaged_teachers import teacher_logs
from .blocks import (
    MASKED,
    hide,
    key_base,
    key_bounds,
    load_block,
    load_rows,
    logits,
    part_bounds,
    query_base,
    query_sides,
    store_rows,
)
from .row_losses import LN2, row_outcome, row_parts


@triton.jit
def normalisers(
    side,
    mask,
    lse,
    teacher,
    BM: tl.constexpr,
    BN: tl.constexpr,
    D: tl.constexpr,
    PREC: tl.constexpr,
):
    """Stores log2 sum 2^z of the rows of one relation, `MASKED` where no key is visible."""
    row, batch, head = _query_block(mask, BM)
    q = load_block(
        query_base(side, batch, head, teacher), row, side.query_row, mask.queries, True, BM, D
    )
    keys = key_base(side, batch, head, teacher)
    top = tl.full([BM], MASKED, tl.float32)
    total = tl.zeros([BM], tl.float32)
    bounds = key_bounds(row, mask, BM, BN)
    for PART in tl.static_range(3):
        first, last = part_bounds(PART, bounds)
        for column in tl.range(first, last, BN):
            k = load_block(keys, column, side.key_row, mask.keys, PART != 1, BN, D)
            z = logits(q, k, side.factor, PREC, False)
            z = hide(z, mask, batch, row, column, PART != 1, BM, BN, False)
            top, total, _, _ = _online(top, total, z)
    store_rows(lse, mask, batch, head, row, _log_sum(top, total), BM)


@triton.jit
def one_pass_kl(
    student,
    teacher,
    mask,
    lse_s,
    lse_t,
    values,
    REVERSE: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    DS: tl.constexpr,
    DT: tl.constexpr,
    PREC_S: tl.constexpr,
    PREC_T: tl.constexpr,
):
    """Stores the normalisers of both sides and the rows' KL(P_t || P_s), or its reverse."""
    row, batch, head = _query_block(mask, BM)
    q_s, q_t, keys_s, keys_t = query_sides(student, teacher, mask, batch, head, row, BM, DS, DT)
    top_s = tl.full([BM], MASKED, tl.float32)
    top_t = tl.full([BM], MASKED, tl.float32)
    total_s = tl.zeros([BM], tl.float32)
    total_t = tl.zeros([BM], tl.float32)
    gaps = tl.zeros([BM], tl.float32)
    bounds = key_bounds(row, mask, BM, BN)
    for PART in tl.static_range(3):
        first, last = part_bounds(PART, bounds)
        for column in tl.range(first, last, BN):
            k_s = load_block(keys_s, column, student.key_row, mask.keys, PART != 1, BN, DS)
            k_t = load_block(keys_t, column, teacher.key_row, mask.keys, PART != 1, BN, DT)
            z_s = logits(q_s, k_s, student.factor, PREC_S, False)
            z_t = logits(q_t, k_t, teacher.factor, PREC_T, False)
            z_s = hide(z_s, mask, batch, row, column, PART != 1, BM, BN, False)
            z_t = hide(z_t, mask, batch, row, column, PART != 1, BM, BN, False)
            top_s, total_s, p_s, shrink_s = _online(top_s, total_s, z_s)
            top_t, total_t, p_t, shrink_t = _online(top_t, total_t, z_t)
            if REVERSE:
                gaps = gaps * shrink_s + tl.sum(p_s * (z_s - z_t), 1)
            else:
                gaps = gaps * shrink_t + tl.sum(p_t * (z_t - z_s), 1)
    log_s, log_t = _log_sum(top_s, total_s), _log_sum(top_t, total_t)
    if REVERSE:
        value = gaps / tl.where(total_s > 0, total_s, 1.0) - log_s + log_t
    else:
        value = gaps / tl.where(total_t > 0, total_t, 1.0) - log_t + log_s
    value = tl.where(log_s > 0.5 * MASKED, tl.maximum(value * LN2, 0.0), 0.0)
    store_rows(lse_s, mask, batch, head, row, log_s, BM)
    store_rows(lse_t, mask, batch, head, row, log_t, BM)
    store_rows(values, mask, batch, head, row, value, BM)


@triton.jit
def row_values(
    student,
    teacher,
    mask,
    lse_s,
    lse_t,
    values,
    firsts,
    seconds,
    lse_stride,
    KIND: tl.constexpr,
    TEACHERS: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    DS: tl.constexpr,
    DT: tl.constexpr,
    PREC_S: tl.constexpr,
    PREC_T: tl.constexpr,
):
    """Stores the rows' losses and the two numbers that their gradients need."""
    row, batch, head = _query_block(mask, BM)
    q_s, q_t, keys_s, keys_t = query_sides(student, teacher, mask, batch, head, row, BM, DS, DT)
    log_s = load_rows(lse_s, mask, batch, head, row, 0.0, BM)
    a = tl.zeros([BM], tl.float32)
    b = tl.zeros([BM], tl.float32)
    c = tl.zeros([BM], tl.float32)
    d = tl.zeros([BM], tl.float32)
    bounds = key_bounds(row, mask, BM, BN)
    for PART in tl.static_range(3):
        first, last = part_bounds(PART, bounds)
        for column in tl.range(first, last, BN):
            k_s = load_block(keys_s, column, student.key_row, mask.keys, PART != 1, BN, DS)
            k_t = load_block(keys_t, column, teacher.key_row, mask.keys, PART != 1, BN, DT)
            z_s = logits(q_s, k_s, student.factor, PREC_S, False)
            z_s = hide(z_s, mask, batch, row, column, PART != 1, BM, BN, False) - log_s[:, None]
            z_t = teacher_logs(
                q_t, k_t, teacher, mask, batch, head, row, column, lse_t, lse_stride,
                TEACHERS, PART != 1, BM, BN, DT, PREC_T, False,
            )  # fmt: skip
            parts = row_parts(tl.exp2(z_s), tl.exp2(z_t), (z_s - z_t) * LN2, KIND)
            a += tl.sum(parts[0], 1)
            b += tl.sum(parts[1], 1)
            c += tl.sum(parts[2], 1)
            d += tl.sum(parts[3], 1)
    value, first_number, second_number = row_outcome(a, b, c, d, KIND)
    seen = log_s > 0.5 * MASKED
    store_rows(values, mask, batch, head, row, tl.where(seen, value, 0.0), BM)
    store_rows(firsts, mask, batch, head, row, tl.where(seen, first_number, 0.0), BM)
    store_rows(seconds, mask, batch, head, row, tl.where(seen, second_number, 0.0), BM)


@triton.jit
def _query_block(mask, BM: tl.constexpr):
    """The first row of the program's queries, its batch entry and its head.

    Blocks that see most keys under a causal mask come first, so that no long one runs last.
    """
    row = (tl.num_programs(0) - 1 - tl.program_id(0)) * BM
    return row, tl.program_id(1) // mask.heads, tl.program_id(1) % mask.heads


@triton.jit
def _online(top, total, z):
    """Folds a tile into the rows' maximum and sum; returns both, 2^(z - top) and the rescaling."""
    new_top = tl.maximum(top, tl.max(z, 1))
    shrink = tl.exp2(top - new_top)
    p = tl.exp2(z - new_top[:, None])
    return new_top, total * shrink + tl.sum(p, 1), p, shrink


@triton.jit
def _log_sum(top, total):
    seen = top > 0.5 * MASKED
    return tl.where(seen, top + tl.log2(tl.where(seen, total, 1.0)), MASKED)
