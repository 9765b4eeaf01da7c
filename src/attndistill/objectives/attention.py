"""Attention distillation: the student's attention rows follow the teacher's."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor

from ..capture import AttentionRecord
from ..errors import InputError
from ..ops import LossSum, attention_divergence, score_mse
from .objective import Step, check_positive


class AttentionLoss(StrEnum):
    """What is compared: rows of attention probabilities, or raw scores (``score_mse``)."""

    KL = "kl"
    REVERSE_KL = "reverse_kl"
    JS = "js"
    MSE = "mse"
    COSINE = "cosine"
    SCORE_MSE = "score_mse"


class HeadMatching(StrEnum):
    """Which teacher head teaches which student head."""

    IDENTITY = "identity"


@dataclass(frozen=True, kw_only=True)
class AttentionTerm:
    """Divergence of the student's attention from the teacher's, over the mapped layers.

    Per layer it is the mean over heads and query rows that are not padding; layers weigh the same.
    Nothing of size queries × keys is held (see `attndistill.ops.attention_divergence`).

    Attributes:
        weight: its factor in the objective.
        kind: ``kl``, ``reverse_kl``, ``js`` (nats), ``mse``, ``cosine`` on probabilities, or
            ``score_mse`` on raw scores (Jiao et al. 2020).
        temperature: divides both sides' scores before the softmax; ``score_mse`` has none.
        heads: ``identity``: head h teaches head h; both sides need as many heads.
    """

    weight: float = 1.0
    kind: str = AttentionLoss.KL
    temperature: float = 1.0
    heads: str = HeadMatching.IDENTITY
    needs_teacher = True
    needs_attention = True

    def __post_init__(self) -> None:
        check_positive("the attention term's weight", self.weight)
        check_positive("the attention term's temperature", self.temperature)
        for name, options in (("kind", AttentionLoss), ("heads", HeadMatching)):
            if getattr(self, name) not in list(options):
                raise InputError(
                    f"unknown {name} {getattr(self, name)!r} for the attention term: choose "
                    f"{', '.join(options)}"
                )
        if self.kind == AttentionLoss.SCORE_MSE and self.temperature != 1.0:
            raise InputError(
                "score_mse compares raw scores, which no temperature divides; leave it at 1.0"
            )

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Query rows that are not padding; for ``score_mse`` pairs of such queries and keys."""
        mask = batch.get("attention_mask")
        if mask is None:
            tokens = next(value for value in batch.values() if value.dim() > 1)
            mask = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        rows_B = mask.bool().sum(-1)
        return (rows_B * rows_B if self.kind == AttentionLoss.SCORE_MSE else rows_B).sum()

    def total(self, step: Step) -> Tensor:
        """Σ over rows (pairs), averaged over heads and mapped layers."""
        mask = step.batch.get("attention_mask")
        rows = None if mask is None else mask.bool()
        totals = [
            self._compare(step.student_attention[student], step.teacher_attention[teacher], rows)
            for student, teacher in step.layer_map.pairs
        ]
        return torch.stack(totals).mean()

    def _compare(
        self, student: AttentionRecord, teacher: AttentionRecord, rows: Tensor | None
    ) -> Tensor:
        heads = student.query.shape[1]
        if heads != teacher.query.shape[1]:
            raise InputError(
                f"heads differ: student layer {student.layer} has {heads}, teacher layer "
                f"{teacher.layer} has {teacher.query.shape[1]}; give the student "
                f"num_attention_heads={teacher.query.shape[1]}"
            )
        return self._loss_sum(student, teacher, rows).total / heads

    def _loss_sum(
        self, student: AttentionRecord, teacher: AttentionRecord, rows: Tensor | None
    ) -> LossSum:
        if self.kind == AttentionLoss.SCORE_MSE:
            return score_mse(student.relation(), teacher.relation(), rows=rows)
        return attention_divergence(
            student.relation(),
            teacher.relation(),
            rows=rows,
            kind=self.kind,
            temperature=self.temperature,
        )
