"""The blockwise backend: nothing of size queries × keys is kept, on any device.

For a tile of query rows the scores of both sides, the row values and the student's score gradient
dS are formed together, and from dS at once its part of dQ = dS K and dK = dS^T Q: four matrix
products of Q·K·D, as many as dense autograd takes, and scratch for one tile only.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..autograd import Watched, differentiable_once
from ..loss_sum import LossSum
from ..options import Per
from ..problem import Problem, count_rows, sum_rows
from .gram import gram_sweep
from .gram_pieces import linear_pieces
from .tiles import Sweep, sweep

OnePass = Callable[[Problem, Tensor | None, tuple[bool, ...]], Sweep]


def blockwise(problem: Problem, per: Per) -> LossSum:
    """Computes the comparison tile by tile, raw scores through Gram matrices where possible."""
    pieces = linear_pieces(problem)
    one_pass = sweep if pieces is None else partial(gram_sweep, pieces=pieces)
    student = problem.student
    inputs = (student.query, student.key, student.bias, student.sinks)
    needs = tuple(
        torch.is_grad_enabled() and tensor is not None and tensor.requires_grad for tensor in inputs
    )
    total, count = _Blockwise.apply(*inputs, problem.detach(), per, needs, one_pass)
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
        one_pass: OnePass,
    ) -> tuple[Tensor, Tensor]:
        inputs = (query, key, bias, sinks)
        at_once = needs if per is Per.ALL else (False,) * len(needs)
        result = one_pass(problem, problem.row_weights(), at_once)
        ctx.needs = needs
        ctx.dtypes = [None if tensor is None else tensor.dtype for tensor in inputs]
        ctx.recompute = None if per is Per.ALL else (one_pass, problem, Watched(problem.teachers))
        ctx.save_for_backward(*(result.gradients.tensors() if per is Per.ALL else inputs))
        count = count_rows(result.seen, problem, per)
        ctx.mark_non_differentiable(count)
        return sum_rows(result.values, per), count

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        gradients = ctx.saved_tensors
        if ctx.recompute is not None:
            one_pass, problem, teachers = ctx.recompute
            teachers.check()
            parts = dict(zip(("query", "key", "bias", "sinks"), gradients, strict=True))
            problem = replace(problem, student=replace(problem.student, **parts))
            weights = upstream[:, None] if upstream.dim() == 1 else upstream
            own = problem.row_weights()
            weights = weights if own is None else weights * own
            gradients = one_pass(problem, weights, ctx.needs).gradients.tensors()
            upstream = upstream.new_ones(())
        scaled = [
            None if gradient is None else (gradient * upstream).to(dtype)
            for gradient, dtype in zip(gradients, ctx.dtypes, strict=True)
        ]
        return (*scaled, None, None, None, None)
