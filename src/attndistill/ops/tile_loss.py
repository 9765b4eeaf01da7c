"""The elementwise part of one tile: scores of both sides to row values and score gradients."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from .divergences import MASKED, Divergence, row_gradient, row_pair, row_value


class TileLoss(NamedTuple):
    """What a tile of scores ``[b, h, q, k]`` yields; None for what was not asked for."""

    values: Tensor | None
    """Weighted row values, ``[b, h, q]``."""
    gradient: Tensor | None
    """Weighted gradient with respect to the student's scores over T, ``[b, h, q, k]``."""
    sink_gradient: Tensor | None
    """The same for its sinks, ``[b, h, q]``."""


def tile_loss(
    divergence: Divergence | None,
    student: Tensor,
    teachers: list[Tensor],
    visible: Tensor | None,
    weights: Tensor | None,
    student_sinks: Tensor | None,
    teacher_sinks: list[Tensor | None],
    want_values: bool,
    want_gradient: bool,
) -> TileLoss:
    """Compares a tile's rows.

    Args:
        divergence: between softmax rows; None for the squared difference of scores.
        student: scores over T, before masking, ``[b, h, q, k]``.
        teachers: the same for each teacher.
        visible: bool ``[b | 1, h | 1, q, k]``, or None for all.
        weights: of each row, ``[b, 1 | h, q]``; None for all ones.
        student_sinks: sink scores over T, ``[h]``, or None.
        teacher_sinks: the same for each teacher.
        want_values: whether to return the row values.
        want_gradient: whether to return the gradients.
    """
    sink_gradient = None
    if divergence is None:
        values, gradient = _score_rows(student, teachers, visible, want_values, want_gradient)
    else:
        rows = row_pair(
            _log_probs(student, visible, student_sinks),
            [_log_probs(t, visible, s) for t, s in zip(teachers, teacher_sinks, strict=True)],
        )
        values = row_value(divergence, rows) if want_values else None
        gradient = row_gradient(divergence, rows) if want_gradient else None
    if weights is not None:
        values = None if values is None else values * weights
        gradient = None if gradient is None else gradient * weights[..., None]
    if gradient is not None and student_sinks is not None:
        gradient, sink_gradient = gradient[..., :-1], gradient[..., -1]
    return TileLoss(values, gradient, sink_gradient)


def _score_rows(
    student: Tensor,
    teachers: list[Tensor],
    visible: Tensor | None,
    want_values: bool,
    want_gradient: bool,
) -> tuple[Tensor | None, Tensor | None]:
    difference = student - sum(teachers[1:], teachers[0]) / len(teachers)
    if visible is not None:
        difference = torch.where(visible, difference, 0)
    values = difference.square().sum(-1) if want_values else None
    return values, 2 * difference if want_gradient else None


def _log_probs(scores: Tensor, visible: Tensor | None, sinks: Tensor | None) -> Tensor:
    if sinks is not None:
        scores = torch.cat([scores, sinks[:, None, None].expand(*scores.shape[:3], 1)], -1)
        visible = None if visible is None else functional.pad(visible, (0, 1), value=True)
    if visible is not None:
        scores = torch.where(visible, scores, MASKED)
    return scores.log_softmax(-1)
