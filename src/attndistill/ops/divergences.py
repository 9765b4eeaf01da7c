"""The divergences between rows of probabilities: each is a row value and a row gradient.

With z = S/T the student's scores over the temperature, P_s = softmax(z), and
w = P_s * dL/dP_s elementwise, every divergence has the gradient

    dL/dz = w - P_s * sum(w),

so a new one needs only its value and its w. Nothing is divided by a probability: those underflow.
Values are formed without cancellation, so that they stay exact as the student converges. The
derivations are in docs/engine.md.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from .options import Option

# Finite, so that a masked entry never makes 0 * inf; far below any score, so that adding a score
# to it changes nothing.
MASKED = -1e30
# Gaps of log-probabilities below this are compared by a series.
CLOSE = 1 / 8


class Divergence(Option):
    """A divergence between the rows of two relations (P_t teacher, P_s student).

    "kl" is KL(P_t || P_s), "reverse_kl" KL(P_s || P_t), "js" the Jensen-Shannon divergence, "mse"
    the squared distance of the rows, "cosine" one minus the cosine of their angle. See
    `attention_divergence` for the equations, gradients and sources.
    """

    KL = "kl"
    REVERSE_KL = "reverse_kl"
    JS = "js"
    MSE = "mse"
    COSINE = "cosine"

    @classmethod
    def _argument(cls) -> str:
        return "kind"


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
    p_s, p_t = _softmax(student), _mean([_softmax(scores) for scores in teachers])
    match divergence:
        case Divergence.KL:
            return _kl(p_s, p_t)
        case Divergence.REVERSE_KL:
            return _reverse_kl(p_s, p_t)
        case Divergence.JS:
            return _js(p_s, p_t)
        case Divergence.MSE:
            return _mse(p_s, p_t)
        case Divergence.COSINE:
            return _cosine(p_s, p_t)


class Rows(NamedTuple):
    """Rows of probabilities and their logarithms, which do not underflow, ``[R, K]`` both."""

    prob: Tensor
    log: Tensor


def _softmax(scores: Tensor) -> Rows:
    """Compiled, both come from one exponential; uncompiled, from as few operations as possible."""
    if not torch.compiler.is_compiling():
        log = scores.log_softmax(-1)
        return Rows(log.exp(), log)
    shifted = scores - scores.amax(-1, keepdim=True)
    exponentials = shifted.exp()
    total = exponentials.sum(-1, keepdim=True)
    return Rows(exponentials * total.reciprocal(), shifted - total.log())


def _mean(rows: list[Rows]) -> Rows:
    """The mean of probabilities, its logarithm formed without underflow; exact for equal ones."""
    if len(rows) == 1:
        return rows[0]
    stacked = torch.stack([each.log for each in rows])
    largest = stacked.amax(0)
    log = largest + torch.log1p(torch.expm1(stacked - largest).mean(0))
    return Rows(log.exp(), log)


def _kl(s: Rows, t: Rows) -> RowLoss:
    terms, difference = _kl_terms(t.prob, s.prob, t.log - s.log)
    return RowLoss(terms.sum(-1), difference)  # w = -P_t


def _reverse_kl(s: Rows, t: Rows) -> RowLoss:
    gap = s.log - t.log
    terms, _ = _kl_terms(s.prob, t.prob, gap)
    return RowLoss(terms.sum(-1), _through_softmax(s.prob, s.prob * gap))


# As both rows sum to 1, KL(P || Q) = sum P gap + Q - P with gap = log P - log Q: every term >= 0.
# Where P and Q are close that is P f(gap) for f(x) = e^-x - 1 + x by its series, which does not
# cancel. Elsewhere nothing cancels, and no exponential of a gap can overflow.


def _kl_terms(p: Tensor, q: Tensor, gap: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the terms of KL(P || Q) with Q - P added, and Q - P."""
    close, first_order, difference = gap.abs() < CLOSE, p * gap, q - p
    terms = torch.where(close, p * _remainder(gap), difference + first_order)
    return terms, torch.where(close, terms - first_order, difference)


def _remainder(x: Tensor) -> Tensor:
    """Returns e^-x - 1 + x = x^2 (1/2! - x/3! + x^2/4! ...) for |x| < CLOSE, to x's precision."""
    terms = 10 if x.dtype == torch.float64 else 5
    minus = -x
    total = minus / math.factorial(terms + 1)
    for k in range(terms, 1, -1):
        total.add_(1 / math.factorial(k)).mul_(minus)
    return total.mul_(minus)


def _js(s: Rows, t: Rows) -> RowLoss:
    # With M = (P_s + P_t) / 2: log P_s - log M, by an exponential that never overflows.
    gap, mixture = s.log - t.log, 0.5 * (s.prob + t.prob)
    shared = torch.log1p(0.5 * torch.expm1(-gap.abs()))
    from_s, from_t = gap.clamp_max(0) - shared, -gap.clamp_min(0) - shared
    of_s, _ = _kl_terms(s.prob, mixture, from_s)
    of_t, _ = _kl_terms(t.prob, mixture, from_t)
    w = 0.5 * s.prob * from_s
    return RowLoss(0.5 * (of_s + of_t).sum(-1), _through_softmax(s.prob, w))


def _mse(s: Rows, t: Rows) -> RowLoss:
    difference = s.prob - t.prob
    w = 2 * s.prob * difference
    return RowLoss(difference.square().sum(-1), _through_softmax(s.prob, w))


def _cosine(s: Rows, t: Rows) -> RowLoss:
    # 1 - cos = |u_s - u_t|^2 / 2 for the unit vectors u = P / |P|, which does not cancel.
    unit_s = s.prob / s.prob.norm(dim=-1, keepdim=True)
    difference = unit_s - t.prob / t.prob.norm(dim=-1, keepdim=True)
    value = 0.5 * difference.square().sum(-1, keepdim=True)
    w = unit_s * (difference - value * unit_s)
    return RowLoss(value.squeeze(-1), _through_softmax(s.prob, w))


def _through_softmax(p_s: Tensor, w: Tensor) -> Tensor:
    # The result sums to 0; in rows near one-hot, this also removes the rounding error of a large w.
    gradient = w - p_s * w.sum(-1, keepdim=True)
    return gradient - p_s * gradient.sum(-1, keepdim=True)
