"""The blockwise backend: nothing of size queries × keys is kept, on any device.

For a tile of query rows the scores of both sides, the row values and the student's score gradient
dS are formed together, and from dS at once its part of dQ = dS K and dK = dS^T Q: four matrix
products of Q·K·D, against seven for dense autograd, and scratch for one tile only.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from .loss_sum import LossSum
from .options import Per
from .problem import Problem, count_rows, sum_rows
from .sweep import sweep


def blockwise(problem: Problem, per: Per) -> LossSum:
    """Computes the comparison tile by tile, with gradients for the student."""
    student = problem.student
    inputs = (student.query, student.key, student.bias, student.sinks)
    needs = tuple(
        torch.is_grad_enabled() and tensor is not None and tensor.requires_grad
        for tensor in inputs
    )
    total, count = _Blockwise.apply(*inputs, problem, per, needs)
    return LossSum(total, count)


class _Blockwise(torch.autograd.Function):
    """With one total, gradients are formed in the forward and scaled in the backward.

    With a total per head or row, the weights of the rows are only known in the backward, which
    then sweeps the tiles again.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        bias: Tensor | None,
        sinks: Tensor | None,
        problem: Problem,
        per: Per,
        needs: tuple[bool, ...],
    ) -> tuple[Tensor, Tensor]:
        at_once = needs if per is Per.ALL else (False,) * len(needs)
        result = sweep(problem, problem.row_weights(), at_once, want_values=True)
        assert result.values is not None
        ctx.per, ctx.problem, ctx.needs = per, problem, needs
        ctx.dtypes = [None if t is None else t.dtype for t in (query, key, bias, sinks)]
        if per is Per.ALL:
            ctx.save_for_backward(*result.gradients)
        else:
            ctx.save_for_backward(query, key, bias, sinks)
        count = count_rows(result.seen, problem, per)
        ctx.mark_non_differentiable(count)
        return sum_rows(result.values, per), count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.per is Per.ALL:
            scale, gradients = upstream, ctx.saved_tensors
        else:
            scale = None
            weights = upstream[:, None] if ctx.per is Per.HEAD else upstream
            own = ctx.problem.row_weights()
            weights = weights if own is None else weights * own
            problem = ctx.problem.with_student_tensors(*ctx.saved_tensors)
            gradients = sweep(problem, weights, ctx.needs, want_values=False).gradients
        scaled = [
            None if g is None else (g if scale is None else g * scale).to(dtype)
            for g, dtype in zip(gradients, ctx.dtypes, strict=True)
        ]
        return (*scaled, None, None, None)
