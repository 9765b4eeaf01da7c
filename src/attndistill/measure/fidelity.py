"""How closely the student's attention follows the teacher's, per mapped layer and head."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..capture import AttentionRecord, capture
from ..capture.forward import run_model
from ..errors import InputError
from ..matching import GroupMatch, LayerGroup
from ..objectives.counting import query_rows
from ..ops import LossSum, Relation, attention_divergence
from .inference import Collator, batches, inference


class HeadPairing(StrEnum):
    """Which heads are compared."""

    IDENTITY = "identity"
    AVERAGE = "average"


@dataclass(frozen=True, kw_only=True)
class LayerFidelity:
    """Mean KL(teacher ‖ student) of one mapped layer's attention rows, in nats: 0 is a copy.

    Rows are the queries that are not padding.

    Attributes:
        group: of the student's layers, such as "decoder cross-attention".
        student_layer: 0-based.
        teacher_layer: 0-based.
        pairing: head h against head h; or, where the models have different numbers of heads, the
            mean attention of all heads (one value).
        heads: one mean KL per compared head.
        uniform: for scale, per head the KL from the teacher's attention to attention spread evenly
            over the visible keys: what knowing nothing would give.
        rows: query rows per head.
    """

    group: str
    student_layer: int
    teacher_layer: int
    pairing: HeadPairing
    heads: tuple[float, ...]
    uniform: tuple[float, ...]
    rows: int

    @property
    def mean(self) -> float:
        """Mean over the heads, nats."""
        return sum(self.heads) / len(self.heads)

    @property
    def mean_uniform(self) -> float:
        """Mean over the heads of the even spread's KL, nats."""
        return sum(self.uniform) / len(self.uniform)


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordPair:
    """The attention records of a mapped layer on one batch, and of whose tokens they are."""

    match: GroupMatch
    student: AttentionRecord
    teacher: AttentionRecord

    @property
    def pairing(self) -> HeadPairing:
        """By head where both have as many, else by the average over heads."""
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


def attention_fidelity(
    teacher: PreTrainedModel,
    student: PreTrainedModel,
    matches: Sequence[GroupMatch],
    dataset: Any,
    collator: Collator,
    *,
    max_rows: int = 256,
    batch_size: int = 32,
) -> list[LayerFidelity]:
    """Compare the attention of mapped layers on held-out rows.

    Args:
        teacher: its flags and attention implementation are left as they are.
        student: likewise, on the teacher's device.
        matches: the groups of layers compared, and their pairs.
        dataset: encoded rows that both models take.
        collator: makes a batch of a list of rows.
        max_rows: the first this many rows are used.
        batch_size: rows per forward.

    Returns:
        One entry per pair, in the order of the matches and their maps.

    Raises:
        InputError: the data set is empty, or an architecture or layer cannot be captured.
    """
    if len(dataset) == 0:
        raise InputError("attention fidelity needs held-out rows, but the data set is empty")
    if not matches:
        return []
    totals: list[tuple[LossSum, LossSum]] = []
    for batch in batches(
        dataset.select(range(min(max_rows, len(dataset)))),
        collator,
        device=student.device,
        batch_size=batch_size,
    ):
        pairs = paired_records(teacher, student, matches, batch)
        counted = [query_rows(batch, pair.match.queries) for pair in pairs]
        parts = [
            (pair.divergence(rows), pair.uniform_divergence(rows))
            for pair, rows in zip(pairs, counted, strict=True)
        ]
        totals = _add(totals, parts) if totals else parts
    return [
        LayerFidelity(
            group=str(pair.match.student),
            student_layer=pair.student.layer,
            teacher_layer=pair.teacher.layer,
            pairing=pair.pairing,
            heads=tuple(gap.mean().tolist()),
            uniform=tuple(even.mean().tolist()),
            rows=int(gap.count[0]),
        )
        for pair, (gap, even) in zip(pairs, totals, strict=True)
    ]


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


def _add(
    totals: list[tuple[LossSum, LossSum]], parts: list[tuple[LossSum, LossSum]]
) -> list[tuple[LossSum, LossSum]]:
    return [(a + c, b + d) for (a, b), (c, d) in zip(totals, parts, strict=True)]


def _kl(student: Relation, teacher: Relation, rows: Tensor | None) -> LossSum:
    return attention_divergence(student, teacher, rows=rows, per="head", masks="intersect")


def _dense_kl(student: Tensor, teacher: Tensor, rows: Tensor | None) -> LossSum:
    # Where the teacher looks and the student cannot, the KL is infinite, as it should be.
    row_kl = (torch.special.xlogy(teacher, teacher) - torch.special.xlogy(teacher, student)).sum(-1)
    counted = teacher.sum(-1) > 0
    if rows is not None:
        counted = counted & rows[:, None]
    return LossSum((row_kl * counted).sum((0, 2)), counted.sum((0, 2)))
