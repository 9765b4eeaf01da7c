"""The divergences between rows of probabilities: each is a row value and a row gradient.

With z = S/T the student's scores over the temperature, P_s = softmax(z), and
w = P_s * dL/dP_s elementwise, every divergence has the gradient

    dL/dz = w - P_s * sum(w),

so one is added by its value and its w. Nothing is divided by a probability: those underflow.
Values are formed without cancellation, so that they stay exact and >= 0 as the student converges.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from .options import Option

# Finite, so that a masked entry never makes 0 * inf; far below any score, so that adding a score
# to it changes nothing.
MASKED = -1e30


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
    log_t = _log_mean([scores.log_softmax(-1) for scores in teachers])
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


def _log_mean(logs: list[Tensor]) -> Tensor:
    """Returns the logarithm of the mean of exponentials; of equal ones their logarithm exactly."""
    if len(logs) == 1:
        return logs[0]
    stacked = torch.stack(logs)
    largest = stacked.amax(0)
    return largest + torch.log1p(torch.expm1(stacked - largest).mean(0))


# As both rows sum to 1, KL(P || Q) = sum P gap + Q - P with gap = log P - log Q: every term >= 0.
# With a = |gap|, e = expm1(-a) and L the larger probability, the smaller is L (1 + e) and a term
# L |e + a| where P is the larger, L |e + a (1 + e)| where Q is: nothing overflows, and |Q - P|,
# which is -L e, is as accurate as the larger.


def _kl(log_s: Tensor, log_t: Tensor) -> RowLoss:
    terms, difference = _kl_terms(log_t, log_s)
    return RowLoss(terms.sum(-1), difference)  # w = -P_t


def _reverse_kl(log_s: Tensor, log_t: Tensor) -> RowLoss:
    terms, _ = _kl_terms(log_s, log_t)
    p_s = log_s.exp()
    return RowLoss(terms.sum(-1), _through_softmax(p_s, p_s * (log_s - log_t)))


def _kl_terms(log_p: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the terms of KL(P || Q) with Q - P added, and Q - P."""
    gap = log_p - log_q
    size, larger = gap.abs(), torch.maximum(log_p, log_q).exp()
    e = torch.expm1(-size)
    terms = larger * (e + size * torch.where(gap > 0, 1, 1 + e)).abs()
    return terms, torch.copysign(larger * e, -gap)


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
    # 1 - cos = |u_s - u_t|^2 / 2 for the unit vectors u = P / |P|, which does not cancel.
    p_s, p_t = log_s.exp(), log_t.exp()
    unit_s = p_s / p_s.norm(dim=-1, keepdim=True)
    difference = unit_s - p_t / p_t.norm(dim=-1, keepdim=True)
    value = 0.5 * difference.square().sum(-1, keepdim=True)
    w = unit_s * (difference - value * unit_s)
    return RowLoss(value.squeeze(-1), _through_softmax(p_s, w))


def _through_softmax(p_s: Tensor, w: Tensor) -> Tensor:
    # The outcome sums to 0; in rows near one-hot, what rounding left of a large w is taken off too.
    gradient = w - p_s * w.sum(-1, keepdim=True)
    return gradient - p_s * gradient.sum(-1, keepdim=True)
