"""The elementwise part of a tile, compiled where that pays."""

import inspect
import logging
import os
from collections.abc import Callable

import torch
from torch import Tensor

from ..divergences import Divergence, compare_rows

logger = logging.getLogger(__name__)

# Below this many scores per call, not even an hour of training wins back the seconds of compiling.
COMPILED_SCORES = 2**20
# Scores handled at once, compiled: malloc reuses the memory of the temporaries; with twice as many,
# every call faults its pages in again.
COMPILED_PART = 2**19
# Not compiled: the temporaries stay in the processor's cache.
EAGER_PART = 2**16

Compare = Callable[[Divergence | None, Tensor, list[Tensor], Tensor, Tensor | None], Tensor]


def comparison(scores: int) -> Compare:
    """Returns how to compare the tiles of a call with this many scores.

    The choice depends on nothing else, so that a resumed run computes what the first one did.
    ``ATTNDISTILL_COMPILE=0`` in the environment always chooses the uncompiled way.
    """
    if scores < COMPILED_SCORES or os.environ.get("ATTNDISTILL_COMPILE") == "0":
        return compare_in_parts
    return _compare_compiled


def compare_whole(
    divergence: Divergence | None,
    student: Tensor,
    teachers: list[Tensor],
    weights: Tensor,
    gradient: Tensor | None,
) -> Tensor:
    """Compares rows of scores ``[R, K]``, see `compare_rows`.

    Args:
        divergence: between the softmax of the rows; None for the squared difference of scores.
        student: scores over T, masked.
        teachers: the same for each teacher.
        weights: of the rows, ``[R]``.
        gradient: filled with the weighted gradient, ``[R, K]``, in its dtype; None if not wanted.

    Returns:
        The weighted row values, ``[R]``.
    """
    loss = compare_rows(divergence, student, teachers)
    if gradient is not None:
        gradient.copy_(loss.gradient * weights[:, None])
    return loss.value * weights


def compare_in_parts(
    divergence: Divergence | None,
    student: Tensor,
    teachers: list[Tensor],
    weights: Tensor,
    gradient: Tensor | None,
) -> Tensor:
    """Does what `compare_whole` does, some rows at a time."""
    return _by_parts(compare_whole, EAGER_PART, divergence, student, teachers, weights, gradient)


def _by_parts(
    compare: Compare,
    most: int,
    divergence: Divergence | None,
    student: Tensor,
    teachers: list[Tensor],
    weights: Tensor,
    gradient: Tensor | None,
) -> Tensor:
    rows, keys = student.shape
    step = max(1, most // keys) if student.device.type == "cpu" else rows
    values = student.new_empty(rows)
    for start in range(0, rows, step):
        part = slice(start, start + step)
        values[part] = compare(
            divergence,
            student[part],
            [teacher[part] for teacher in teachers],
            weights[part],
            None if gradient is None else gradient[part],
        )
    return values


_compiled: Compare | None = None
# Divergence, number of teachers, dtypes, and whether gradients are wanted each make a variant.
# Beyond PyTorch's limit of 8, it would stop compiling.
MOST_VARIANTS = 256


def _more_variants() -> dict[str, int]:
    """The option that lifts the limit, where this version of PyTorch has it."""
    known = "recompile_limit" in inspect.signature(torch.compile).parameters
    return {"recompile_limit": MOST_VARIANTS} if known else {}


def _compare_compiled(
    divergence: Divergence | None,
    student: Tensor,
    teachers: list[Tensor],
    weights: Tensor,
    gradient: Tensor | None,
) -> Tensor:
    global _compiled
    if _compiled is None:
        logger.info("compiling the loss (once; ATTNDISTILL_COMPILE=0 turns it off)")
        _compiled = torch.compile(  # type: ignore[call-overload]
            compare_whole, dynamic=True, fullgraph=True, **_more_variants()
        )
    try:
        return _by_parts(_compiled, COMPILED_PART, divergence, student, teachers, weights, gradient)
    except Exception as error:
        _compiled = compare_in_parts
        logger.warning("the loss runs uncompiled, slower: %s", str(error).strip().split("\n")[0])
        return compare_in_parts(divergence, student, teachers, weights, gradient)
