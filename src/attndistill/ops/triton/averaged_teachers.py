"""Log probabilities of the teachers' average in one tile."""

import triton
import triton.language as tl

from .blocks import hide, key_base, load_block, load_rows, logits, per_row, query_base


@triton.jit
def teacher_logs(
    query,
    key,
    teacher,
    mask,
    batch,
    head,
    row,
    column,
    lse,
    lse_stride,
    TEACHERS: tl.constexpr,
    EDGE: tl.constexpr,
    BM: tl.constexpr,
    BN: tl.constexpr,
    D: tl.constexpr,
    PREC: tl.constexpr,
    TRANSPOSED: tl.constexpr,
):
    """Returns log2 of the mean of the teachers' probabilities, masked.

    The first teacher's queries and keys are passed in; the others' are loaded here.
    """
    own = load_rows(lse, mask, batch, head, row, 1e30, BM)
    logs = logits(query, key, teacher.factor, PREC, TRANSPOSED)
    logs = hide(logs, mask, batch, row, column, EDGE, BM, BN, TRANSPOSED) - per_row(own, TRANSPOSED)
    for other in tl.static_range(1, TEACHERS):
        queries = query_base(teacher, batch, head, other)
        keys = key_base(teacher, batch, head, other)
        q = load_block(queries, row, teacher.query_row, mask.queries, True, BM, D)
        k = load_block(keys, column, teacher.key_row, mask.keys, True, BN, D)
        own = load_rows(lse + other * lse_stride, mask, batch, head, row, 1e30, BM)
        z = logits(q, k, teacher.factor, PREC, TRANSPOSED)
        z = hide(z, mask, batch, row, column, EDGE, BM, BN, TRANSPOSED) - per_row(own, TRANSPOSED)
        top = tl.maximum(logs, z)
        logs = top + tl.log2(tl.exp2(logs - top) + tl.exp2(z - top))
    if TEACHERS > 1:
        logs -= tl.log2(TEACHERS * 1.0)
    return logs
