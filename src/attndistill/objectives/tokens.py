"""Losses per predicted token, without ever holding a tokens × vocabulary tensor.

Logits are formed from hidden states for some tokens at a time, compared, and turned at once into
gradients of the hidden states and of the head's weights. The chunk's logits are then freed.
Where a model has formed its logits already, they are taken chunk by chunk in the same way.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ..capture.architectures import Item
from ..errors import InputError
from .counting import required_labels, token_targets
from .output_head import HiddenLogits
from .step import Step, check_same_shape

# Logits formed at once; in float32 they take 128 MB.
CHUNK_ELEMENTS = 2**25

# n tokens of a chunk, V vocabulary, W width of what logits are formed from, K terms
Compare = Callable[[Tensor, slice], tuple[Tensor, Tensor]]


# (student's logits [n, V], teacher's or None, labels [n] or None) -> the loss of each row, [n]
RowLosses = Callable[[Tensor, Tensor | None, Tensor | None], Tensor]


@dataclass(frozen=True, kw_only=True)
class TokenTerm:
    """A term that is a sum over predicted tokens.

    Attributes:
        weight: factor of its mean in the objective.
        item: what a row of logits predicts; not ``EXAMPLE``.
        needs_teacher: whether it compares with the teacher's logits.
        needs_labels: whether it requires labels.
        row_losses: (student, teacher, labels) -> losses [n], from logits [n, V] in float32 and
            labels [n].
    """

    weight: float
    item: Item
    needs_teacher: bool
    needs_labels: bool = False
    row_losses: RowLosses

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Predicted tokens that count in the batch."""
        if self.needs_labels:
            required_labels(batch)
        return token_targets(batch, self.item)[1].sum()

    def total(self, step: Step) -> Tensor:
        """Σ over the counted tokens, with its graph."""
        one = torch.ones(1, device=step.student_logits.device)
        return token_totals(step, {"": self}, one)[0]


def token_totals(
    step: Step, terms: Mapping[str, TokenTerm], factors: Tensor
) -> tuple[Tensor, Tensor]:
    """Σ factor · total over terms, and the totals themselves, from one pass over the tokens.

    Args:
        step: both models' outputs.
        terms: K terms, on the same item.
        factors: [K].

    Returns:
        The weighted sum with its graph, and the totals [K] without.

    Raises:
        InputError: the models' logits do not fit together.
    """
    (item,) = {term.item for term in terms.values()}
    labels, valid = token_targets(step.batch, item)
    labels, valid = None if labels is None else labels.flatten(), valid.flatten()
    student = _Rows.of(step.student_logits)
    needs_teacher = any(term.needs_teacher for term in terms.values())
    teacher = _Rows.of(step.teacher_logits) if needs_teacher else None
    count = student.rows.shape[0]
    if valid.shape[0] != count:
        raise InputError(
            f"the student predicts {count} tokens, but the batch has {valid.shape[0]} of them"
        )

    def compare(some: Tensor, chunk: slice) -> tuple[Tensor, Tensor]:
        ours = student.form(some).float()
        theirs = None if teacher is None else teacher.detached(chunk)
        if theirs is not None:
            check_same_shape(ours, theirs)
        some_labels = None if labels is None else labels[chunk]
        losses = [term.row_losses(ours, theirs, some_labels) for term in terms.values()]
        totals = torch.stack([loss.where(valid[chunk], 0.0).sum() for loss in losses])
        # Factors are about 1 / count, too small for the gradients of float16 logits.
        return (totals * factors * count).sum(), totals.detach()

    chunk_rows = max(1, CHUNK_ELEMENTS // student.vocabulary)
    inputs = (student.rows, *student.weights)
    needs = [torch.is_grad_enabled() and tensor.requires_grad for tensor in inputs]
    value, totals = _Chunked.apply(compare, chunk_rows, needs, *inputs)
    return value / count, totals


@dataclass(frozen=True, kw_only=True, eq=False)
class _Rows:
    """A model's predictions, one row each.

    Attributes:
        rows: what logits are formed from, [n, W].
        form: logits [·, V] of some rows.
        vocabulary: V.
        weights: the trainable parameters in between.
    """

    rows: Tensor
    form: Callable[[Tensor], Tensor]
    vocabulary: int
    weights: tuple[Tensor, ...]

    @classmethod
    def of(cls, logits: HiddenLogits | Tensor) -> Self:
        if isinstance(logits, Tensor):
            rows = logits.flatten(0, -2)
            return cls(rows=rows, form=lambda some: some, vocabulary=rows.shape[-1], weights=())
        return cls(
            rows=logits.hidden.flatten(0, -2),
            form=logits.form,
            vocabulary=logits.vocabulary,
            weights=tuple(p for p in logits.head.linear.parameters() if p.requires_grad),
        )

    def detached(self, chunk: slice) -> Tensor:
        with torch.no_grad():
            return self.form(self.rows[chunk]).float()


class _Chunked(torch.autograd.Function):
    """Gradients are formed in the forward, chunk by chunk, and scaled in the backward."""

    @staticmethod
    def forward(
        ctx: Any, compare: Compare, chunk_rows: int, needs: list[bool], *inputs: Tensor
    ) -> tuple[Tensor, Tensor]:
        rows = inputs[0]
        needed = [n for n, need in enumerate(needs) if need]
        # In float32: the backward scales them, as GradScaler does, before they are cast.
        gradients = {n: torch.zeros_like(inputs[n], dtype=torch.float32) for n in needed}
        value, totals = [], []
        for start in range(0, rows.shape[0], chunk_rows):
            chunk = slice(start, start + chunk_rows)
            some = rows[chunk].detach().requires_grad_(0 in gradients)
            with torch.set_grad_enabled(bool(needed)):
                part, part_totals = compare(some, chunk)
            value.append(part.detach())
            totals.append(part_totals)
            if not needed:
                continue
            wanted = [some if n == 0 else inputs[n] for n in needed]
            for n, gradient in zip(needed, torch.autograd.grad(part, wanted), strict=True):
                place = gradients[n][chunk] if n == 0 else gradients[n]
                place += gradient
        ctx.dtypes = [tensor.dtype for tensor in inputs]
        ctx.save_for_backward(*(gradients.get(n) for n in range(len(inputs))))
        summed = torch.stack(totals).sum(0)
        ctx.mark_non_differentiable(summed)
        return torch.stack(value).sum(), summed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        scaled = [
            None if gradient is None else (gradient * upstream).to(dtype)
            for gradient, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        ]
        return (None, None, None, *scaled)
