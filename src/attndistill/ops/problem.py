"""A checked comparison of relations: the input of every backend."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .divergences import Divergence
from .mask import AttentionMask, Shape, Tile, visible_tile
from .mask_merging import merge_masks
from .options import Masks, Per
from .relation import Relation, compute_dtype


@dataclass(frozen=True, eq=False)
class Problem:
    """A student's relation against the average of its teachers'.

    Attributes:
        student: the side that receives gradients.
        teachers: one or more, without gradient history.
        masks: the masks that together say which keys are compared.
        rows: weights of the queries, bool or floating ``[B, Q]``; None for all.
        divergence: between softmax rows; None compares the attention scores themselves.
        temperature: divides the scores of both sides.
    """

    student: Relation
    teachers: tuple[Relation, ...]
    masks: tuple[AttentionMask, ...]
    rows: Tensor | None
    divergence: Divergence | None
    temperature: float = 1.0

    @property
    def shape(self) -> Shape:
        """The sizes of the score tensors of all sides."""
        return self.student.shape

    @property
    def relations(self) -> tuple[Relation, ...]:
        """The student's relation, then the teachers'."""
        return self.student, *self.teachers

    @property
    def device(self) -> torch.device:
        """The device all tensors are on."""
        return self.student.query.device

    @property
    def dtype(self) -> torch.dtype:
        """The dtype rows are computed in."""
        return compute_dtype(*self.relations)

    def detach(self) -> "Problem":
        """Returns the same comparison without the student's gradient history."""
        return replace(self, student=self.student.detach())

    def visible(self, tile: Tile) -> Tensor | None:
        """Returns the tile's mask, bool ``[b | 1, h | 1, q, k]``; None where all is visible."""
        return visible_tile(self.masks, tile, self.shape, self.device)

    def key_range(self, queries: slice) -> slice:
        """Returns the keys these queries may see, at least one."""
        start, stop = 0, self.shape.keys
        for mask in self.masks:
            first, last = mask.key_range(queries, self.shape)
            start, stop = max(start, first), min(stop, last)
        stop = max(stop, 1)
        return slice(min(start, stop - 1), stop)

    def row_weights(self) -> Tensor | None:
        """Returns the queries' weights, ``[B, 1, Q]`` in the compute dtype; None for all ones."""
        return None if self.rows is None else self.rows[:, None].to(self.dtype)


def make_problem(
    student: Relation,
    teacher: Relation | Sequence[Relation],
    *,
    rows: Tensor | None,
    divergence: Divergence | None,
    temperature: float,
    masks: Masks,
) -> Problem:
    """Checks that both sides can be compared and returns the comparison.

    Raises:
        ValueError: naming what does not fit together.
    """
    teachers = (teacher,) if isinstance(teacher, Relation) else tuple(teacher)
    if not isinstance(student, Relation) or not all(isinstance(t, Relation) for t in teachers):
        raise ValueError("student and teacher must be Relations (teacher: one or a sequence)")
    if not teachers:
        raise ValueError("teacher must hold at least one Relation")
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be positive and finite; got {temperature!r}")
    if divergence is None:  # a sink is the score of no key
        student, *others = (replace(side, sinks=None) for side in (student, *teachers))
        teachers = tuple(others)
    for other in teachers:
        _check_same_rows(student, other)
    device = student.query.device
    if rows is not None:
        _check_rows(rows, student.shape, device)
    merged = merge_masks(student.mask, [t.mask for t in teachers], masks, student.shape, device)
    return Problem(
        student,
        tuple(t.detach() for t in teachers),
        merged,
        rows,
        divergence,
        float(temperature),
    )


def sum_rows(values: Tensor, per: Per) -> Tensor:
    """Sums row values ``[B, H, Q]`` to shape ``[]``, ``[H]`` or ``[B, H, Q]``."""
    match per:
        case Per.ALL:
            return values.sum()
        case Per.HEAD:
            return values.sum((0, 2))
        case Per.ROW:
            return values


def count_rows(seen: Tensor, problem: Problem, per: Per) -> Tensor:
    """Returns the count for ``seen``, rows (or pairs of each row) ``[B, 1 | H, Q]``.

    The count is int64, or floating where the rows have floating weights.
    """
    if problem.rows is None:
        counts = seen.long()
    elif problem.rows.is_floating_point():
        counts = seen * problem.rows[:, None].to(problem.dtype)
    else:
        counts = seen.long() * problem.rows[:, None]
    batch, heads, queries, _ = problem.shape
    return sum_rows(counts.expand(batch, heads, queries), per)


# What to do where the sizes of the two score tensors differ, in the order of their dimensions.
REMEDIES = {
    "batch": "Give both sides the same examples",
    "query heads": "Give each student head one teacher head, or several teachers to average",
    "queries": "Give both sides the same tokens: their rows are compared one by one",
    "keys": "Give both sides the same tokens: their rows are compared key by key",
}


def _check_same_rows(student: Relation, teacher: Relation) -> None:
    for name, ours, theirs in zip(REMEDIES, student.shape, teacher.shape, strict=True):
        if ours != theirs:
            raise ValueError(f"{name} differ: student {ours}, teacher {theirs}. {REMEDIES[name]}")
    if student.query.device != teacher.query.device:
        raise ValueError(f"student is on {student.query.device}, teacher on {teacher.query.device}")
    if (student.sinks is None) != (teacher.sinks is None):
        raise ValueError(
            f"only the {'teacher' if student.sinks is None else 'student'} has sinks: both sides "
            "or neither must have them, as they are an outcome of the rows compared"
        )


def _check_rows(rows: Tensor, shape: Shape, device: torch.device) -> None:
    if rows.shape != (shape.batch, shape.queries):
        raise ValueError(f"rows must be [{shape.batch}, {shape.queries}]; got {list(rows.shape)}")
    if rows.dtype != torch.bool and not rows.is_floating_point():
        raise ValueError(
            f"rows must be bool (True = counted) or floating (weights); got {rows.dtype}. "
            "For a 0/1 attention mask give .bool()"
        )
    if rows.device != device:
        raise ValueError(f"rows is on {rows.device}, the student on {device}")
