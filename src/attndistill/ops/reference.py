"""The dense reference: reads like the papers, holds every N×N map, differentiated by autograd."""

import math

import torch
from torch import Tensor

from .divergences import MASKED, Divergence
from .loss_sum import LossSum
from .mask import Tile, visible_tile
from .options import Per
from .problem import Problem, count_rows, sum_rows
from .relation import Relation, compute_dtype

# B batch, H query heads, Q queries, K keys


def reference(problem: Problem, per: Per) -> LossSum:
    """Computes the comparison from whole score tensors, in float32 (float64 for float64 inputs)."""
    visible_BHQK = problem.visible(Tile(*(slice(0, size) for size in problem.shape)))
    if visible_BHQK is None:
        visible_BHQK = torch.ones(1, 1, 1, 1, dtype=torch.bool, device=problem.device)
    visible_BHQK = visible_BHQK.expand(*visible_BHQK.shape[:2], *problem.shape[2:])

    if problem.divergence is None:
        values_BHQ = _squared_score_differences(problem, visible_BHQK)
        seen_BHQ = visible_BHQK.sum(-1)
    else:
        values_BHQ = _divergences(problem, problem.divergence, visible_BHQK)
        seen_BHQ = visible_BHQK.any(-1)
    values_BHQ = torch.where(seen_BHQ > 0, values_BHQ, 0)
    weights_B1Q = problem.row_weights()
    if weights_B1Q is not None:
        values_BHQ = values_BHQ * weights_B1Q
    return LossSum(sum_rows(values_BHQ, per), count_rows(seen_BHQ, problem, per))


def attention_probs(relation: Relation) -> Tensor:
    """Returns the attention probabilities ``[B, Hq, Q, K]``, dense; zeros where no key is seen."""
    dtype, keys = compute_dtype(relation), relation.shape.keys
    whole = Tile(*(slice(0, size) for size in relation.shape))
    visible = visible_tile(
        [] if relation.mask is None else [relation.mask],
        whole,
        relation.shape,
        relation.query.device,
    )
    log_probs = _log_probs(relation, visible, dtype, temperature=1.0)[..., :keys]
    return log_probs.exp() if visible is None else log_probs.exp() * visible


def attention_scores(relation: Relation, dtype: torch.dtype) -> Tensor:
    """Returns softcap(scale * query @ key.mT) + bias, ``[B, Hq, Q, K]``, masked keys included."""
    key = relation.key.to(dtype).repeat_interleave(relation.group, dim=1)
    scores = relation.scale * (relation.query.to(dtype) @ key.mT)
    if relation.softcap is not None:
        scores = relation.softcap * torch.tanh(scores / relation.softcap)
    if relation.bias is not None:
        scores = (scores + relation.bias.to(dtype)).clamp_min(MASKED)
    return scores


def _squared_score_differences(problem: Problem, visible: Tensor) -> Tensor:
    student = attention_scores(problem.student, problem.dtype)
    teachers = [attention_scores(teacher, problem.dtype) for teacher in problem.teachers]
    difference = student - torch.stack(teachers).mean(0)
    return torch.where(visible, difference, 0).square().sum(-1)


def _divergences(problem: Problem, divergence: Divergence, visible: Tensor) -> Tensor:
    log_s = _log_probs(problem.student, visible, problem.dtype, problem.temperature)
    log_teachers = torch.stack(
        [_log_probs(t, visible, problem.dtype, problem.temperature) for t in problem.teachers]
    )
    log_t = torch.logsumexp(log_teachers, 0) - math.log(len(problem.teachers))
    p_s, p_t = log_s.exp(), log_t.exp()
    match divergence:
        case Divergence.KL:
            return (p_t * (log_t - log_s)).sum(-1)
        case Divergence.REVERSE_KL:
            return (p_s * (log_s - log_t)).sum(-1)
        case Divergence.JS:
            log_m = torch.logaddexp(log_s, log_t) - math.log(2)
            return 0.5 * (p_t * (log_t - log_m) + p_s * (log_s - log_m)).sum(-1)
        case Divergence.MSE:
            return (p_s - p_t).square().sum(-1)
        case Divergence.COSINE:
            return 1 - (p_s * p_t).sum(-1) / (p_s.norm(dim=-1) * p_t.norm(dim=-1))


def _log_probs(
    relation: Relation, visible: Tensor | None, dtype: torch.dtype, temperature: float
) -> Tensor:
    """Returns log P, ``[B, Hq, Q, K]``; K + 1 with sinks."""
    scores = attention_scores(relation, dtype) / temperature
    if visible is not None:
        scores = torch.where(visible, scores, MASKED)
    if relation.sinks is not None:
        sinks = relation.sinks.to(dtype) / temperature
        scores = torch.cat([scores, sinks[:, None, None].expand(*scores.shape[:3], 1)], -1)
    return scores.log_softmax(-1)
