"""A comparison as the arguments of the kernels."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from ..mask import AttentionMask
from ..problem import Problem
from ..relation import Relation
from .blocks import MaskPointers, SidePointers

# Log normalisers above this are genuine: rows that see no key have -1e30.
UNSEEN = -1e29
# The log normaliser that makes a row's probabilities and gradients 0.
DISABLED = 1e30


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments of every kernel.

    Attributes:
        student: pointers and strides.
        teacher: the same, all teachers stacked.
        mask: all masks combined.
        teachers: the number of teachers.
        widths: head widths of student and teacher.
        precisions: input precision of each side's float32 products.
        product: dtype of the products that form gradients.
    """

    student: SidePointers
    teacher: SidePointers
    mask: MaskPointers
    teachers: int
    widths: tuple[int, int]
    precisions: tuple[str, str]
    product: Any

    def constants(self) -> dict[str, Any]:
        """Constants of the kernels that see both sides."""
        return {
            "DS": self.widths[0],
            "DT": self.widths[1],
            "PREC_S": self.precisions[0],
            "PREC_T": self.precisions[1],
        }

    def row_vector(self, problem: Problem, *leading: int) -> Tensor:
        """An empty vector over rows, float32 ``[..., B, H, Q]``."""
        batch, heads, queries, _ = problem.shape
        query = problem.student.query
        return query.new_empty((*leading, batch, heads, queries), dtype=torch.float32)


def arguments(problem: Problem) -> Arguments:
    """Returns the kernels' arguments for a comparison that `triton_unsupported` accepts."""
    student, teachers = problem.student, problem.teachers
    query = _stack([teacher.query for teacher in teachers])
    key = _stack([teacher.key for teacher in teachers])
    return Arguments(
        student=_side(student, student.query[None], student.key[None], problem.temperature),
        teacher=_side(teachers[0], query, key, problem.temperature),
        mask=_mask(problem),
        teachers=len(teachers),
        widths=(student.query.shape[-1], teachers[0].query.shape[-1]),
        precisions=(_precision(student.query.dtype), _precision(teachers[0].query.dtype)),
        # float16 would underflow near convergence and overflow in sharp rows
        product=tl.bfloat16 if student.query.dtype == torch.bfloat16 else tl.float32,
    )


def _stack(tensors: list[Tensor]) -> Tensor:
    return tensors[0][None] if len(tensors) == 1 else torch.stack(tensors)


def _side(relation: Relation, query: Tensor, key: Tensor, temperature: float) -> SidePointers:
    query = query if query.stride(-1) == 1 else query.contiguous()
    key = key if key.stride(-1) == 1 else key.contiguous()
    factor = relation.scale / (temperature * math.log(2))
    teacher, batch, head, row, _ = query.stride()
    key_teacher, key_batch, key_head, key_row, _ = key.stride()
    return SidePointers(
        query, batch, head, row, teacher, key, key_batch, key_head, key_row, key_teacher,
        relation.group, factor,
    )  # fmt: skip


def _mask(problem: Problem) -> MaskPointers:
    _, heads, queries, keys = problem.shape
    nearest: int | None = None
    farthest: int | None = None
    key_valid: Tensor | None = None
    segments: tuple[Tensor, Tensor] | tuple[None, None] = (None, None)
    for mask in problem.masks:
        lower, upper = _band(mask)
        nearest = max((bound for bound in (nearest, lower) if bound is not None), default=None)
        farthest = min((bound for bound in (farthest, upper) if bound is not None), default=None)
        if mask.key_valid is not None:
            key_valid = mask.key_valid if key_valid is None else key_valid & mask.key_valid
        if mask.query_segments is not None and mask.key_segments is not None:
            segments = mask.query_segments.contiguous(), mask.key_segments.contiguous()
    key_valid = None if key_valid is None else key_valid.contiguous().view(torch.uint8)
    return MaskPointers(
        heads, queries, keys, keys - queries, nearest, farthest, key_valid, *segments
    )


def _band(mask: AttentionMask) -> tuple[int | None, int | None]:
    """The least and the greatest distance from a key to a query that sees it."""
    if mask.causal:
        return 0, None if mask.window is None else mask.window - 1
    return (None, None) if mask.window is None else (-mask.window, mask.window)


def _precision(dtype: torch.dtype) -> str:
    exact = dtype == torch.float32 and torch.get_float32_matmul_precision() == "highest"
    return "tf32x3" if exact else "tf32"
