"""A term on attention layers, fitted to two models: the layers it pairs, the rows it counts."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..capture import AttentionRecord
from ..choices import Option
from ..matching import GroupMatch
from ..ops import LossSum, Relation, attention_divergence, score_mse
from .counting import count_examples, count_pairs, query_rows
from .step import RecordKey, Step


class AttentionLoss(Option):
    """What is compared: rows of attention probabilities, or raw scores (``score_mse``)."""

    KL = "kl"
    REVERSE_KL = "reverse_kl"
    JS = "js"
    MSE = "mse"
    COSINE = "cosine"
    SCORE_MSE = "score_mse"

    @classmethod
    def _argument(cls) -> str:
        return "kind"


RelationPairs = Callable[
    [AttentionRecord, AttentionRecord], Iterable[tuple[Relation, Sequence[Relation]]]
]


@dataclass(frozen=True, kw_only=True)
class FittedLayerwiseTerm:
    """A `LayerwiseTerm` with its layers found in both models.

    Attributes:
        weight, kind, temperature, masks: see `LayerwiseTerm`.
        match: the paired layers.
        needs_values: whether the values must be captured too.
        relation_pairs: (student record, teacher record) -> the relations to compare in these
            layers: a student's relation, and one teacher's or several to average.
    """

    weight: float
    kind: str
    temperature: float
    masks: str
    match: GroupMatch
    needs_values: bool
    relation_pairs: RelationPairs
    needs_teacher = True

    @property
    def teacher_records(self) -> list[RecordKey]:
        """The teacher's records in the order in which they are compared."""
        return [(self.match.teacher, teacher) for _, teacher in self.match.layer_map.pairs]

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Query rows that are not padding, or examples where a batch has no tokens (pixels).

        For ``score_mse``: pairs of such a query and a key.
        """
        if self.kind == AttentionLoss.SCORE_MSE:
            cross = self.match.student.kind == "cross"
            return count_pairs(batch, self.match.queries, cross=cross, causal=self.match.causal)
        rows = query_rows(batch, self.match.queries)
        return count_examples(batch) if rows is None else rows.sum()

    def total(self, step: Step, compared: Callable[[RecordKey], object] = lambda _: None) -> Tensor:
        """Σ over rows (pairs), averaged over heads and paired layers.

        Args:
            step: the micro-batch.
            compared: called after each comparison with the key of the teacher's record it read.
        """
        rows = query_rows(step.batch, self.match.queries)
        totals = []
        for student_layer, teacher_layer in self.match.layer_map.pairs:
            key = (self.match.teacher, teacher_layer)
            student = step.student_attention[self.match.student, student_layer]
            for ours, theirs in self.relation_pairs(student, step.teacher_record(key)):
                loss = self._compare(ours, theirs, rows)
                if rows is None:  # all examples have as many rows
                    totals.append(loss.mean() * count_examples(step.batch))
                else:
                    totals.append(loss.total / ours.shape.heads)
            compared(key)
        return torch.stack(totals).mean()

    def _compare(
        self, student: Relation, teachers: Sequence[Relation], rows: Tensor | None
    ) -> LossSum:
        if self.kind == AttentionLoss.SCORE_MSE:
            return score_mse(student, teachers, rows=rows, masks=self.masks)
        return attention_divergence(
            student,
            teachers,
            rows=rows,
            kind=self.kind,
            temperature=self.temperature,
            masks=self.masks,
        )
