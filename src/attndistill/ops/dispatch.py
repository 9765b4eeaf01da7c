"""Which backend computes a comparison."""

import importlib.util
import os

import torch

from .loss_sum import LossSum
from .options import Impl, Per
from .problem import Problem

# Wider heads do not fit a tile of both sides.
MAX_TRITON_WIDTH = 256
# CUDA's limit for the second dimension of a grid.
MAX_TRITON_HEADS = 65535


def dispatch(problem: Problem, per: Per, impl: Impl) -> LossSum:
    """Hands a comparison to the backend named; an explicit choice never falls back.

    Raises:
        ValueError: the backend named cannot do this.
    """
    if impl is Impl.AUTO:
        impl = chosen_impl(problem)
    with torch.autocast(problem.device.type, enabled=False):
        match impl:
            case Impl.REFERENCE:
                from .reference import reference

                return reference(problem, per)
            case Impl.BLOCKWISE:
                from .blockwise import blockwise

                return blockwise(problem, per)
            case Impl.TRITON:
                against = triton_unsupported(problem)
                if against is not None:
                    raise ValueError(
                        f'impl="triton" cannot do this: {against}. Set impl="auto" or "blockwise"'
                    )
                from .triton import triton_divergence

                return triton_divergence(problem, per)
        raise AssertionError(impl)


def chosen_impl(problem: Problem) -> Impl:
    """Returns what ``impl="auto"`` picks: the kernels where supported, else the blockwise pass."""
    on_cuda = problem.device.type == "cuda"  # Triton's interpreter is for tests
    return Impl.TRITON if on_cuda and triton_unsupported(problem) is None else Impl.BLOCKWISE


def triton_unsupported(problem: Problem) -> str | None:
    """Returns why the Triton kernels cannot do this comparison; None if they can."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    sides = problem.relations
    dtypes = {side.query.dtype for side in sides}
    widths = {teacher.query.shape for teacher in problem.teachers}
    if problem.device.type != "cuda" and not interpreted:
        return f"the tensors are on {problem.device.type}, not on a CUDA device"
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    if problem.divergence is None:
        return "raw scores are compared in linear time without kernels"
    if torch.float64 in dtypes:
        return "the kernels have no float64"
    if interpreted and torch.bfloat16 in dtypes:
        return "Triton's interpreter computes bfloat16 products wrongly"
    if any(side.bias is not None for side in sides):
        return "a bias is given"
    if any(side.softcap is not None for side in sides):
        return "a softcap is given"
    if any(side.sinks is not None for side in sides):
        return "sinks are given"
    if any(mask.visible is not None for mask in problem.masks):
        return "the mask has an index function or a dense part"
    if sum(mask.query_segments is not None for mask in problem.masks) > 1:
        return "two masks have segments"
    if len(widths) > 1 or len({(t.scale, t.group) for t in problem.teachers}) > 1:
        return "the averaged teachers differ in shape or scale"
    if problem.shape.batch * problem.shape.heads > MAX_TRITON_HEADS:
        return f"batch times heads is above {MAX_TRITON_HEADS}"
    if max(side.query.shape[-1] for side in sides) > MAX_TRITON_WIDTH:
        return f"a head is wider than {MAX_TRITON_WIDTH}"
    return None
