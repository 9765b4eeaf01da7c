"""The contenders for the losses: ours, the textbook's, and yardsticks of what is possible."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from ..ops import AttentionMask, Relation, attention_divergence, score_mse
from . import textbrewer
from .cases import Case, Run
from .dense import dense_loss


class Inputs(NamedTuple):
    """Queries and keys ``[B, H, N, D]``; the student's want gradients."""

    query: Tensor
    key: Tensor
    teacher_query: Tensor
    teacher_key: Tensor


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One way to compute a loss and its gradients, or a yardstick.

    Attributes:
        prepare: from a case and its inputs, the run: it returns loss, query and key gradient
            (a yardstick returns what it computes).
        maps: N×N maps it holds at the worst moment; 0 if none.
        products: N×N×D matrix products it carries out for KL and its gradients.
        time_only: its memory is not comparable.
    """

    prepare: Callable[[Case, Inputs], Run]
    maps: int = 0
    products: int
    time_only: bool = False


def make_inputs(case: Case) -> Inputs:
    """Seeded standard normal queries and keys; the student's are near the teacher's."""
    generator = torch.Generator(case.device).manual_seed(0)
    shape = (case.batch, case.heads, case.length, case.head_dim)
    teacher, noise = (
        [torch.randn(shape, generator=generator, device=case.device) for _ in range(2)]
        for _ in range(2)
    )
    dtype = getattr(torch, case.dtype)
    student = [
        (t + 0.5 * n).to(dtype).requires_grad_() for t, n in zip(teacher, noise, strict=True)
    ]
    return Inputs(*student, *(tensor.to(dtype) for tensor in teacher))


def _ours(impl: str) -> Callable[[Case, Inputs], Run]:
    def prepare(case: Case, inputs: Inputs) -> Run:
        mask = AttentionMask(causal=True) if case.causal else None
        scale = case.head_dim**-0.5
        teacher = Relation(inputs.teacher_query, inputs.teacher_key, scale, mask=mask)

        def loss() -> Tensor:
            student = Relation(inputs.query, inputs.key, scale, mask=mask)
            if case.kind == "score_mse":
                return score_mse(student, teacher, impl=impl).mean()
            return attention_divergence(student, teacher, kind=case.kind, impl=impl).mean()

        return _with_gradients(loss, inputs)

    return prepare


def _uncompiled(case: Case, inputs: Inputs) -> Run:
    run = _ours("blockwise")(case, inputs)

    def without_compiler() -> tuple[Tensor, ...]:
        with _environment("ATTNDISTILL_COMPILE", "0"):
            return run()

    return without_compiler


def _half_length(case: Case, _: Inputs) -> Run:
    half = replace(case, length=case.length // 2)
    return _ours("blockwise")(half, make_inputs(half))


def _dense(loss: Callable[..., Tensor]) -> Callable[[Case, Inputs], Run]:
    def prepare(case: Case, inputs: Inputs) -> Run:
        visible = None
        if case.causal:
            visible = torch.ones(case.length, case.length, dtype=torch.bool, device=case.device)
            visible = visible.tril()
        student, teacher, scale = inputs[:2], inputs[2:], case.head_dim**-0.5
        return _with_gradients(lambda: loss(case.kind, student, teacher, scale, visible), inputs)

    return prepare


@cache
def _compiled_dense_loss() -> Callable[..., Tensor]:
    # fullgraph: too many recompilations are an error, not a silent return to eager.
    return torch.compile(dense_loss, fullgraph=True)


def _dense_compiled(case: Case, inputs: Inputs) -> Run:
    return _dense(_compiled_dense_loss())(case, inputs)


def _textbrewer(case: Case, inputs: Inputs) -> Run:
    if case.causal:
        raise ValueError("TextBrewer's losses take no causal mask")
    student, teacher, scale = inputs[:2], inputs[2:], case.head_dim**-0.5
    textbrewer.load_losses()
    return _with_gradients(
        lambda: textbrewer.textbrewer_loss(case.kind, student, teacher, scale), inputs
    )


def _matrix_products(case: Case, inputs: Inputs) -> Run:
    """S_s = Q_s K_s^T, S_t = Q_t K_t^T, dQ = dS K, dK = dS^T Q, into memory allocated before."""
    query, key, teacher_query, teacher_key = (tensor.detach() for tensor in inputs)
    scores = query.new_empty(*query.shape[:3], case.length)
    query_gradient, key_gradient = torch.empty_like(query), torch.empty_like(key)

    def run() -> tuple[Tensor, ...]:
        torch.matmul(query, key.mT, out=scores)
        torch.matmul(teacher_query, teacher_key.mT, out=scores)
        torch.matmul(scores, key, out=query_gradient)
        torch.matmul(scores.mT, query, out=key_gradient)
        return query_gradient, key_gradient

    return run


def _sdpa_flash(case: Case, inputs: Inputs) -> Run:
    value = inputs.teacher_key.detach().clone().requires_grad_()
    upstream = inputs.teacher_query

    def run() -> tuple[Tensor, ...]:
        with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
            output = F.scaled_dot_product_attention(
                inputs.query, inputs.key, value, is_causal=case.causal
            )
        return torch.autograd.grad(output, (inputs.query, inputs.key, value), upstream)

    return run


def _with_gradients(loss: Callable[[], Tensor], inputs: Inputs) -> Run:
    def run() -> tuple[Tensor, ...]:
        value = loss()
        return value.detach(), *torch.autograd.grad(value, inputs[:2])

    return run


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


# blockwise on half the length: the two in turn show how time grows.
HALF_LENGTH = "blockwise-half-length"
# Products: dense and blockwise form both score matrices and two gradients; flash attention and
# the Triton kernels form scores again in the backward.
CONTENDERS = {
    "blockwise": Contender(prepare=_ours("blockwise"), products=4),
    "blockwise-uncompiled": Contender(prepare=_uncompiled, products=4),
    HALF_LENGTH: Contender(prepare=_half_length, products=1, time_only=True),
    "triton": Contender(prepare=_ours("triton"), products=8),
    "dense": Contender(prepare=_dense(dense_loss), maps=7, products=4),
    "dense-compiled": Contender(prepare=_dense_compiled, maps=7, products=4),
    "textbrewer": Contender(prepare=_textbrewer, maps=9, products=4),
    "matrix-products": Contender(prepare=_matrix_products, maps=1, products=4, time_only=True),
    "sdpa-flash": Contender(prepare=_sdpa_flash, products=7),
}


def contender_run(case: Case, name: str) -> Run:
    """The run of one contender on seeded inputs."""
    return CONTENDERS[name].prepare(case, make_inputs(case))


def why_not(case: Case, name: str) -> str | None:
    """Why a contender is not measured on a case; None if it is."""
    if name == "textbrewer" and not textbrewer.is_installed():
        return textbrewer.NEEDED
    maps_bytes = CONTENDERS[name].maps * map_bytes(case)
    room = _memory_bytes(case.device) / 2
    if maps_bytes > room:
        return (
            f"{name} is not measured at N={case.length}: its N×N maps take about "
            f"{maps_bytes / 2**30:.1f} GiB, over half of the memory available"
        )
    return None


def map_bytes(case: Case) -> int:
    """Bytes of one map over all heads."""
    itemsize = getattr(torch, case.dtype).itemsize
    return math.prod((case.batch, case.heads, case.length, case.length, itemsize))


def _memory_bytes(device: str) -> int:
    if device == "cuda":
        return torch.cuda.mem_get_info()[1]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
