"""Launching the kernels, and their place in autograd."""

import math
from typing import Any

import torch
import triton
from torch import Tensor

from ..autograd import Watched, differentiable_once
from ..divergences import Divergence
from ..loss_sum import LossSum
from ..options import Per
from ..problem import Problem, count_rows, sum_rows
from .backward_kernels import key_gradient, query_gradient
from .forward_kernels import normalisers, one_pass_kl, row_values
from .operands import DISABLED, UNSEEN, Arguments, arguments
from .tuning import Blocks, blocks

ONE_PASS = (Divergence.KL, Divergence.REVERSE_KL)


def triton_divergence(problem: Problem, per: Per) -> LossSum:
    """Computes the comparison with kernels that hold one tile of the scores at a time."""
    query, key = problem.student.query, problem.student.key
    needs = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad)
    total, count = _Triton.apply(query, key, problem.detach(), per, needs)
    return LossSum(total, count)


class _Triton(torch.autograd.Function):
    """Only a few numbers per row are kept beside the inputs; the backward recomputes its tiles."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, problem: Problem, per: Per, needs: bool
    ) -> tuple[Tensor, Tensor]:
        given = arguments(problem)
        if needs and problem.divergence in ONE_PASS and given.teachers == 1:
            rows = _one_pass(problem, given)
        else:
            rows = _two_passes(problem, given)
        lse_s, lse_t, values, firsts, seconds = rows
        count = count_rows(lse_s[:, :1] > UNSEEN, problem, per)
        weights = problem.row_weights()
        ctx.save_for_backward(query, key, lse_s, lse_t, firsts, seconds)
        ctx.problem, ctx.per, ctx.teachers = problem, per, Watched(problem.teachers)
        ctx.mark_non_differentiable(count)
        return sum_rows(values if weights is None else values * weights, per), count

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        query, key, *rows = ctx.saved_tensors
        ctx.teachers.check()
        gradients = _gradients(ctx.problem, ctx.per, rows, upstream, ctx.needs_input_grad[:2])
        return (*gradients, None, None, None)


def _one_pass(problem: Problem, given: Arguments) -> tuple[Tensor, ...]:
    lse_s, lse_t, values = (given.row_vector(problem) for _ in range(3))
    sizes = blocks("one_pass_kl", given)
    one_pass_kl[_query_grid(problem, sizes)](
        given.student,
        given.teacher,
        given.mask,
        lse_s,
        lse_t,
        values,
        REVERSE=problem.divergence is Divergence.REVERSE_KL,
        **sizes.constants(),
        **given.constants(),
    )
    return lse_s, lse_t, values, values, values


def _two_passes(problem: Problem, given: Arguments) -> tuple[Tensor, ...]:
    lse_s, values, firsts, seconds = (given.row_vector(problem) for _ in range(4))
    lse_t = given.row_vector(problem, given.teachers)
    student, teacher = given.widths
    sizes = blocks("normalisers", given)
    grid = _query_grid(problem, sizes)
    normalisers[grid](
        given.student,
        given.mask,
        lse_s,
        0,
        D=student,
        PREC=given.precisions[0],
        **sizes.constants(),
    )
    for number in range(given.teachers):
        normalisers[grid](
            given.teacher,
            given.mask,
            lse_t[number],
            number,
            D=teacher,
            PREC=given.precisions[1],
            **sizes.constants(),
        )
    sizes = blocks("row_values", given)
    row_values[_query_grid(problem, sizes)](
        given.student,
        given.teacher,
        given.mask,
        lse_s,
        lse_t,
        values,
        firsts,
        seconds,
        lse_s.numel(),
        KIND=str(problem.divergence),
        TEACHERS=given.teachers,
        **sizes.constants(),
        **given.constants(),
    )
    return lse_s, lse_t, values, firsts, seconds


def _gradients(
    problem: Problem,
    per: Per,
    rows: list[Tensor],
    upstream: Tensor,
    needs: tuple[bool, ...],
) -> list[Tensor | None]:
    given = arguments(problem)
    lse_s, lse_t, firsts, seconds = rows
    shape = lse_s.shape
    weights = problem.row_weights()
    counted = lse_s > UNSEEN if weights is None else (lse_s > UNSEEN) & (weights != 0)
    lse_s, lse_t = (torch.where(counted, lse, DISABLED) for lse in (lse_s, lse_t))
    if problem.rows is not None and problem.rows.dtype == torch.bool:
        weights = None  # all counted rows weigh the same
    if per is not Per.ALL:
        own = upstream[:, None] if upstream.dim() == 1 else upstream
        weights = own if weights is None else own * weights
        upstream = upstream.new_ones(())
    weights = None if weights is None else weights.expand(shape).contiguous()
    gradients: list[Tensor | None] = []
    for needed, tensor, kernel in zip(
        needs,
        (problem.student.query, problem.student.key),
        (query_gradient, key_gradient),
        strict=True,
    ):
        if not needed:
            gradients.append(None)
            continue
        gradient = torch.empty(tensor.shape, dtype=tensor.dtype, device=tensor.device)
        sizes = blocks(kernel.__name__, given)
        rows_or_keys = sizes.rows if kernel is query_gradient else sizes.keys
        grid = (triton.cdiv(tensor.shape[2], rows_or_keys), math.prod(tensor.shape[:2]))
        kernel[grid](
            given.student,
            given.teacher,
            given.mask,
            lse_s,
            lse_t,
            firsts,
            seconds,
            weights,
            upstream,
            lse_s.numel(),
            gradient,
            *gradient.stride()[:3],
            KIND=str(problem.divergence),
            TEACHERS=given.teachers,
            PRODUCT=given.product,
            **sizes.constants(),
            **given.constants(),
        )
        gradients.append(gradient)
    return gradients


def _query_grid(problem: Problem, sizes: Blocks) -> tuple[int, int]:
    batch, heads, queries, _ = problem.shape
    return triton.cdiv(queries, sizes.rows), batch * heads
