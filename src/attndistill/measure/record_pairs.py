"""The attention of mapped layers of both models on one batch, paired and compared."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..capture import AttentionRecord, capture
from ..capture.forward import run_model
from ..matching import GroupMatch, LayerGroup
from ..ops import LossSum, Relation, attention_divergence
from .inference import inference


class HeadPairing(StrEnum):
    """Which heads are compared."""

    IDENTITY = "identity"
    AVERAGE = "average"


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordPair:
    """The attention records of a mapped layer on one batch, and the groups it belongs to."""

    match: GroupMatch
    student: AttentionRecord
    teacher: AttentionRecord

    @property
    def pairing(self) -> HeadPairing:
        """Head by head where both have as many, else the mean over heads."""
        same = self.student.query.shape[1] == self.teacher.query.shape[1]
        return HeadPairing.IDENTITY if same else HeadPairing.AVERAGE

    def probs(self) -> tuple[Tensor, Tensor]:
        """Dense attention probabilities (student, teacher) of the compared heads, [B, H, Q, K]."""
        student, teacher = self.student.attention_probs(), self.teacher.attention_probs()
        if self.pairing is HeadPairing.AVERAGE:
            return student.mean(1, keepdim=True), teacher.mean(1, keepdim=True)
        return student, teacher

    def divergence(self, rows: Tensor | None) -> LossSum:
        """KL(teacher ‖ student) per compared head, [H]; rows [B, Q] bool, True = counted."""
        if self.pairing is HeadPairing.AVERAGE:
            student, teacher = self.probs()
            return _dense_kl(student, teacher, rows)
        return _kl(self.student.relation(), self.teacher.relation(), rows)

    def uniform_divergence(self, rows: Tensor | None) -> LossSum:
        """KL(teacher ‖ even spread) per compared head, [H]."""
        if self.pairing is HeadPairing.AVERAGE:
            teacher = self.probs()[1]
            visible = (self.teacher.attention_probs() > 0).any(1, keepdim=True)
            return _dense_kl(visible / visible.sum(-1, keepdim=True), teacher, rows)
        relation = self.teacher.relation()
        # Queries of zeros score all keys alike.
        even = Relation(
            torch.zeros_like(relation.query),
            relation.key,
            relation.scale,
            mask=relation.mask,
            sinks=None if relation.sinks is None else torch.zeros_like(relation.sinks),
        )
        return _kl(even, relation, rows)


def paired_records(
    teacher: PreTrainedModel,
    student: PreTrainedModel,
    matches: Sequence[GroupMatch],
    batch: dict[str, Tensor],
) -> list[RecordPair]:
    """Run both models on a batch and pair the records of the mapped layers, in their order."""
    teaching = [(match.teacher, match.layer_map.teacher_layers) for match in matches]
    learning = [(match.student, match.layer_map.student_layers) for match in matches]
    of_teacher = _records(teacher, teaching, batch)
    of_student = _records(student, learning, batch)
    return [
        RecordPair(
            match=match,
            student=of_student[match.student, student_layer],
            teacher=of_teacher[match.teacher, teacher_layer],
        )
        for match in matches
        for student_layer, teacher_layer in match.layer_map.pairs
    ]


def _records(
    model: PreTrainedModel,
    groups: Sequence[tuple[LayerGroup, list[int]]],
    batch: dict[str, Tensor],
) -> dict[tuple[LayerGroup, int], AttentionRecord]:
    wanted: dict[tuple[str, str], set[int]] = {}
    for group, layers in groups:
        wanted.setdefault(group, set()).update(layers)
    selected = {group: sorted(layers) for group, layers in wanted.items()}
    with inference(model), capture(model, selected) as records:
        run_model(model, batch)
        return {(LayerGroup(r.stack, r.kind), r.layer): r for r in records}


def _kl(student: Relation, teacher: Relation, rows: Tensor | None) -> LossSum:
    return attention_divergence(student, teacher, rows=rows, per="head", masks="intersect")


def _dense_kl(student: Tensor, teacher: Tensor, rows: Tensor | None) -> LossSum:
    # Where the teacher looks and the student cannot, the KL is infinite, as it should be.
    row_kl = (torch.special.xlogy(teacher, teacher) - torch.special.xlogy(teacher, student)).sum(-1)
    counted = teacher.sum(-1) > 0
    if rows is not None:
        counted = counted & rows[:, None]
    return LossSum((row_kl * counted).sum((0, 2)), counted.sum((0, 2)))
