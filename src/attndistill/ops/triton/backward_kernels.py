"""Kernels of the backward: each recomputes its tiles, none needs atomic sums.

The logit gradient is formed in float32, then cast for the product. Rows that do not count have
normalisers of 1e30, so that their probabilities and gradients are 0.
"""

import triton
import triton.language as tl

from .averaged_teachers import teacher_logs
from .blocks import (
    hide,
    key_base,
    key_bounds,
    load_block,
    load_rows,
    logits,
    part_bounds,
    per_row,
    query_base,
    query_bounds,
    query_sides,
    store_block,
)
from .row_losses import LN2, logit_gradient


@triton.jit
def query_gradient(
    student,
    teacher,
    mask,
    lse_s,
    lse_t,
    firsts,
    seconds,
    weights,
    upstream,
    lse_stride,
    gradient,
    gradient_batch,
    gradient_head,
    gradient_row,
    KIND: tl.constexpr,
    TEACHERS: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    DS: tl.constexpr,
    DT: tl.constexpr,
    PREC_S: tl.constexpr,
    PREC_T: tl.constexpr,
    PRODUCT: tl.constexpr,
):
    """Stores dQ = (scale / T) dS K of the student."""
    row = (tl.num_programs(0) - 1 - tl.program_id(0)) * BM
    batch, head = tl.program_id(1) // mask.heads, tl.program_id(1) % mask.heads
    q_s, q_t, keys_s, keys_t = query_sides(student, teacher, mask, batch, head, row, BM, DS, DT)
    log_s = load_rows(lse_s, mask, batch, head, row, 1e30, BM)
    first_number = load_rows(firsts, mask, batch, head, row, 0.0, BM)
    second_number = load_rows(seconds, mask, batch, head, row, 0.0, BM)
    sums = tl.zeros([BM, q_s.shape[1]], tl.float32)
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
            slope = logit_gradient(
                tl.exp2(z_s),
                tl.exp2(z_t),
                (z_s - z_t) * LN2,
                first_number[:, None],
                second_number[:, None],
                KIND,
            )
            sums += tl.dot(slope.to(PRODUCT), k_s.to(PRODUCT), input_precision=PREC_S)
    sums *= student.factor * LN2 * tl.load(upstream)
    if weights is not None:
        sums *= load_rows(weights, mask, batch, head, row, 0.0, BM)[:, None]
    place = batch.to(tl.int64) * gradient_batch + head.to(tl.int64) * gradient_head
    store_block(gradient + place, row, gradient_row, mask.queries, sums, BM, DS)


@triton.jit
def key_gradient(
    student,
    teacher,
    mask,
    lse_s,
    lse_t,
    firsts,
    seconds,
    weights,
    upstream,
    lse_stride,
    gradient,
    gradient_batch,
    gradient_head,
    gradient_row,
    KIND: tl.constexpr,
    TEACHERS: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    DS: tl.constexpr,
    DT: tl.constexpr,
    PREC_S: tl.constexpr,
    PREC_T: tl.constexpr,
    PRODUCT: tl.constexpr,
):
    """Stores dK = (scale / T) dS^T Q of the student, summed over the heads that share a key."""
    column = tl.program_id(0) * BN
    key_heads = mask.heads // student.group
    batch, key_head = tl.program_id(1) // key_heads, tl.program_id(1) % key_heads
    keys_s = key_base(student, batch, key_head * student.group, 0)
    k_s = load_block(keys_s, column, student.key_row, mask.keys, True, BN, DS)
    sums = tl.zeros([BN, k_s.shape[1]], tl.float32)
    bounds = query_bounds(column, mask, BM, BN)
    for member in tl.range(0, student.group):
        head = key_head * student.group + member
        queries_s = query_base(student, batch, head, 0)
        queries_t = query_base(teacher, batch, head, 0)
        keys_t = key_base(teacher, batch, head, 0)
        k_t = load_block(keys_t, column, teacher.key_row, mask.keys, True, BN, DT)
        for PART in tl.static_range(3):
            first, last = part_bounds(PART, bounds)
            for row in tl.range(first, last, BM):
                q_s = load_block(queries_s, row, student.query_row, mask.queries, PART != 1, BM, DS)
                q_t = load_block(queries_t, row, teacher.query_row, mask.queries, PART != 1, BM, DT)
                log_s = load_rows(lse_s, mask, batch, head, row, 1e30, BM)
                z_s = logits(q_s, k_s, student.factor, PREC_S, True)
                z_s = hide(z_s, mask, batch, row, column, PART != 1, BM, BN, True) - log_s[None, :]
                z_t = teacher_logs(
                    q_t, k_t, teacher, mask, batch, head, row, column, lse_t, lse_stride,
                    TEACHERS, PART != 1, BM, BN, DT, PREC_T, True,
                )  # fmt: skip
                slope = logit_gradient(
                    tl.exp2(z_s),
                    tl.exp2(z_t),
                    (z_s - z_t) * LN2,
                    per_row(load_rows(firsts, mask, batch, head, row, 0.0, BM), True),
                    per_row(load_rows(seconds, mask, batch, head, row, 0.0, BM), True),
                    KIND,
                )
                if weights is not None:
                    slope *= load_rows(weights, mask, batch, head, row, 0.0, BM)[None, :]
                sums += tl.dot(slope.to(PRODUCT), q_s.to(PRODUCT), input_precision=PREC_S)
    sums *= student.factor * LN2 * tl.load(upstream)
    place = batch.to(tl.int64) * gradient_batch + key_head.to(tl.int64) * gradient_head
    store_block(gradient + place, column, gradient_row, mask.keys, sums, BN, DS)
