"""The divergences between two rows of probabilities: each is a row value and a row gradient.

With z = S/T the student's scores over the temperature, P_s = softmax(z), and
w = P_s * dL/dP_s elementwise, every divergence has the gradient

    dL/dz = w - c * P_s,   c = sum(w),

so one is added by its value and its w. Nothing is divided by a probability: those underflow.
Values are formed without cancellation, so that they stay exact and >= 0 as the student converges.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .options import Option

# Finite, so that a masked entry never makes 0 * inf; far below any score, and exact in float32.
MASKED = -1e30


class Divergence(Option):
    """A divergence between the rows of two relations (P_t teacher, P_s student)."""

    KL = "kl"
    REVERSE_KL = "reverse_kl"
    JS = "js"
    MSE = "mse"
    COSINE = "cosine"


class RowPair(NamedTuple):
    """Corresponding rows of both sides, each ``[..., K]``; masked entries have probability 0."""

    log_s: Tensor
    log_t: Tensor
    p_s: Tensor
    p_t: Tensor


def row_pair(log_s: Tensor, log_teachers: list[Tensor]) -> RowPair:
    """Pairs the student's rows with the average of the teachers' probabilities."""
    log_t = log_teachers[0]
    if len(log_teachers) > 1:
        log_t = torch.logsumexp(torch.stack(log_teachers), 0) - math.log(len(log_teachers))
    return RowPair(log_s, log_t, log_s.exp(), log_t.exp())


def row_value(divergence: Divergence, rows: RowPair) -> Tensor:
    """Returns the divergence of each row, shape ``[...]``."""
    log_s, log_t, p_s, p_t = rows
    match divergence:
        case Divergence.KL:
            return _exact_kl(p_t, p_s, log_t - log_s)
        case Divergence.REVERSE_KL:
            return _exact_kl(p_s, p_t, log_s - log_t)
        case Divergence.JS:
            return _exact_js(rows)
        case Divergence.MSE:
            return (p_s - p_t).square().sum(-1)
        case Divergence.COSINE:
            return 0.5 * _unit_difference(rows).square().sum(-1)


def row_gradient(divergence: Divergence, rows: RowPair) -> Tensor:
    """Returns the gradient with respect to the student's scores over T, shape ``[..., K]``."""
    log_s, log_t, p_s, p_t = rows
    match divergence:
        case Divergence.KL:  # w = -P_t, whose sum is -1
            return p_s - p_t
        case Divergence.REVERSE_KL:
            w = p_s * (log_s - log_t)
        case Divergence.JS:
            w = 0.5 * p_s * _log_ratio_to_mean(log_s - log_t)
        case Divergence.MSE:
            w = 2 * p_s * (p_s - p_t)
        case Divergence.COSINE:  # w sums to 0: the length of P_s does not matter
            norm_s = p_s.norm(dim=-1, keepdim=True)
            difference = _unit_difference(rows)
            value = 0.5 * difference.square().sum(-1, keepdim=True)
            return p_s * (difference - value * p_s / norm_s) / norm_s
    return w - p_s * w.sum(-1, keepdim=True)


def _exact_kl(p: Tensor, other: Tensor, gap: Tensor) -> Tensor:
    # sum p*gap = sum (other - p + p*gap) = sum p*(expm1(-gap) + gap): every term is >= 0. The last
    # form is exact for small gaps and overflows for large ones.
    near = p * (torch.expm1(-gap) + gap)
    return torch.where(gap.abs() < 0.5, near, other - p + p * gap).sum(-1)


def _exact_js(rows: RowPair) -> Tensor:
    gap = rows.log_s - rows.log_t
    from_s = rows.p_s * _log_ratio_to_mean(gap)
    from_t = rows.p_t * _log_ratio_to_mean(-gap)
    return 0.5 * (from_s + from_t).sum(-1)


def _log_ratio_to_mean(gap: Tensor) -> Tensor:
    # log P - log M for gap = log P - log P', M = (P + P')/2; the exponential never overflows.
    return gap.clamp_max(0) - torch.log1p(0.5 * torch.expm1(-gap.abs()))


def _unit_difference(rows: RowPair) -> Tensor:
    # 1 - cos = |P_s/|P_s| - P_t/|P_t||^2 / 2, which does not cancel.
    unit_s = rows.p_s / rows.p_s.norm(dim=-1, keepdim=True)
    return unit_s - rows.p_t / rows.p_t.norm(dim=-1, keepdim=True)
