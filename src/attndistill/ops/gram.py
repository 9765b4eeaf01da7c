"""The mean squared error of raw scores in linear time, through Gram matrices.

The score difference is a product of stacked factors, D = S_s - S_t = Q' K'^T, so that the sum over
keys of its square, for one query row q', is q' (K'^T K') q'^T: the Gram matrix K'^T K' of size
2D × 2D is formed once per head, and no score ever is. With q = scale * query on each side,

    Q' = [q_s, -q_t],       K' = [K_s, K_t]             (any widths), or
    Q' = [q_s - q_t, q_t],  K' = [K_s, K_s - K_t]       (equal widths: nothing cancels).
"""

import torch
from torch import Tensor

from .loss_sum import LossSum
from .options import Per
from .problem import Problem, count_rows, sum_rows
from .relation import Relation


def is_linear(problem: Problem) -> bool:
    """Whether scores are plain dot products and every query sees the same keys."""
    sides = (problem.student, *problem.teachers)
    plain = all(side.bias is None and side.softcap is None for side in sides)
    padding_only = all(
        not mask.causal
        and mask.window is None
        and mask.query_segments is None
        and mask.visible is None
        for mask in problem.masks
    )
    return plain and padding_only and len(problem.teachers) == 1


def gram(problem: Problem, per: Per) -> LossSum:
    """Computes the summed squared score differences; differentiated by autograd, linear too."""
    with torch.autocast(problem.device.type, enabled=False):
        query_BHQE, key_BHKE = _stacked_factors(problem)
        valid_BK = _valid_keys(problem)
        if valid_BK is not None:
            key_BHKE = torch.where(valid_BK[:, None, :, None], key_BHKE, 0)
        gram_BHEE = key_BHKE.mT @ key_BHKE
        values_BHQ = ((query_BHQE @ gram_BHEE) * query_BHQE).sum(-1).clamp_min(0)
        weights = problem.row_weights()
        if weights is not None:
            values_BHQ = torch.where(weights > 0, values_BHQ, 0) * weights
    batch, _, queries, keys = problem.shape
    seen = (
        torch.full((batch,), keys, device=problem.device) if valid_BK is None else valid_BK.sum(-1)
    )
    seen_B1Q = seen[:, None, None].expand(batch, 1, queries)
    return LossSum(sum_rows(values_BHQ, per), count_rows(seen_B1Q, problem, per))


def _stacked_factors(problem: Problem) -> tuple[Tensor, Tensor]:
    student, teacher = problem.student, problem.teachers[0]
    q_s, k_s = _factors(student, problem.dtype)
    q_t, k_t = _factors(teacher, problem.dtype)
    if q_s.shape[-1] == q_t.shape[-1]:
        return torch.cat([q_s - q_t, q_t], -1), torch.cat([k_s, k_s - k_t], -1)
    return torch.cat([q_s, -q_t], -1), torch.cat([k_s, k_t], -1)


def _factors(relation: Relation, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    key = relation.key.to(dtype).repeat_interleave(relation.group, dim=1)
    return relation.query.to(dtype) * relation.scale, key


def _valid_keys(problem: Problem) -> Tensor | None:
    valid = None
    for mask in problem.masks:
        if mask.key_valid is not None:
            valid = mask.key_valid if valid is None else valid & mask.key_valid
    return valid
