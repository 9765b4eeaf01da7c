"""The divergences between rows of probabilities: each is a row value and a row gradient.

With z = S/T the student's scores over the temperature, P_s = softmax(z), and
w = P_s * dL/dP_s elementwise, every divergence has the gradient

    dL/dz = w - P_s * sum(w),

so one is added by its value and its w. Nothing is divided by a probability: those underflow.
Values are formed without cancellation, so that they stay exact and >= 0 as the student converges.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .options import Option

# Finite, so that a masked entry never makes 0 * inf; far below any score, so that adding a score
# to it changes nothing.
MASKED = -1e30
# P times expm1 of a log ratio up to this neither overflows nor loses a digit; a probability
# exp(-50) times smaller than the other one adds nothing that a float64 could hold.
LARGEST_LOG_RATIO = 50.0


class Divergence(Option):
    """A divergence between the rows of two relations (P_t teacher, P_s student)."""

    KL = "kl"
    REVERSE_KL = "reverse_kl"
    JS = "js"
    MSE = "mse"
    COSINE = "cosine"


class RowLoss(NamedTuple):
    """The losses of rows of K scores."""

    value: Tensor
    """``[R]``."""
    gradient: Tensor
    """With respect to the student's scores over T, ``[R, K]``."""


def compare_rows(divergence: Divergence | None, student: Tensor, teachers: list[Tensor]) -> RowLoss:
    """Compares rows of scores over T, masked entries being `MASKED` (for raw scores: 0).

    Args:
        divergence: between the softmax of the rows; None for the squared difference of scores.
        student: ``[R, K]``.
        teachers: the same for each teacher; their probabilities (or scores) are averaged.
    """
    if divergence is None:
        difference = student - sum(teachers[1:], teachers[0]) / len(teachers)
        return RowLoss(difference.square().sum(-1), 2 * difference)
    log_s = student.log_softmax(-1)
    log_teachers = [scores.log_softmax(-1) for scores in teachers]
    log_t = log_teachers[0]
    if len(teachers) > 1:
        log_t = torch.logsumexp(torch.stack(log_teachers), 0) - math.log(len(teachers))
    match divergence:
        case Divergence.KL:
            return _kl(log_s, log_t)
        case Divergence.REVERSE_KL:
            return _reverse_kl(log_s, log_t)
        case Divergence.JS:
            return _js(log_s, log_t)
        case Divergence.MSE:
            return _mse(log_s, log_t)
        case Divergence.COSINE:
            return _cosine(log_s, log_t)


# As both rows sum to 1, KL(P || P') = sum P (expm1(-gap) + gap) with gap = log P - log P': every
# term is >= 0, and P expm1(-gap) = P' - P without cancellation.


def _kl(log_s: Tensor, log_t: Tensor) -> RowLoss:
    log_t = torch.maximum(log_t, log_s - LARGEST_LOG_RATIO)
    p_t, gap = log_t.exp(), log_t - log_s
    ratio = torch.expm1(-gap)
    return RowLoss((p_t * (ratio + gap)).sum(-1), p_t * ratio)  # w = -P_t


def _reverse_kl(log_s: Tensor, log_t: Tensor) -> RowLoss:
    log_s = torch.maximum(log_s, log_t - LARGEST_LOG_RATIO)
    p_s, gap = log_s.exp(), log_s - log_t
    value = (p_s * (torch.expm1(-gap) + gap)).sum(-1)
    return RowLoss(value, _through_softmax(p_s, p_s * gap))


def _js(log_s: Tensor, log_t: Tensor) -> RowLoss:
    # With M = (P_s + P_t) / 2: log P_s - log M, by an exponential that never overflows.
    p_s, p_t, gap = log_s.exp(), log_t.exp(), log_s - log_t
    shared = torch.log1p(0.5 * torch.expm1(-gap.abs()))
    from_s, from_t = gap.clamp_max(0) - shared, -gap.clamp_min(0) - shared
    half = 0.5 * p_s * from_s
    return RowLoss((half + 0.5 * p_t * from_t).sum(-1), _through_softmax(p_s, half))


def _mse(log_s: Tensor, log_t: Tensor) -> RowLoss:
    p_s = log_s.exp()
    difference = p_s - log_t.exp()
    return RowLoss(difference.square().sum(-1), _through_softmax(p_s, 2 * p_s * difference))


def _cosine(log_s: Tensor, log_t: Tensor) -> RowLoss:
    # 1 - cos = |u_s - u_t|^2 / 2 for the unit vectors u = P / |P|, which does not cancel. w sums
    # to 0, as the length of P_s does not matter.
    p_s, p_t = log_s.exp(), log_t.exp()
    norm_s = p_s.norm(dim=-1, keepdim=True)
    unit_s = p_s / norm_s
    difference = unit_s - p_t / p_t.norm(dim=-1, keepdim=True)
    value = 0.5 * difference.square().sum(-1, keepdim=True)
    return RowLoss(value.squeeze(-1), unit_s * (difference - value * unit_s))


def _through_softmax(p_s: Tensor, w: Tensor) -> Tensor:
    return w - p_s * w.sum(-1, keepdim=True)
