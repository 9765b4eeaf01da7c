"""What terms on attention layers share: the layers they pair, and the rows they count."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

import torch
from torch import Tensor, nn

from ..capture import AttentionRecord
from ..errors import InputError
from ..matching import GroupMatch, LayerMapSpec, Queries, match_layers
from ..ops import LossSum, Relation, attention_divergence, score_mse
from .counting import count_examples, count_pairs, query_rows
from .step import Step, check_positive


class AttentionLoss(StrEnum):
    """What is compared: rows of attention probabilities, or raw scores (``score_mse``)."""

    KL = "kl"
    REVERSE_KL = "reverse_kl"
    JS = "js"
    MSE = "mse"
    COSINE = "cosine"
    SCORE_MSE = "score_mse"


RelationPair = tuple[Relation, Sequence[Relation]]


@dataclass(frozen=True, kw_only=True)
class LayerwiseTerm:
    """Divergence of the student's relations from the teacher's, over paired attention layers.

    Per layer it is the mean over heads and query rows that are not padding; layers weigh the same.
    Nothing of size queries × keys is held (see `attndistill.ops.attention_divergence`).

    Attributes:
        weight: its factor in the objective.
        kind: ``kl``, ``reverse_kl``, ``js`` (nats), ``mse``, ``cosine`` on probabilities, or
            ``score_mse`` on raw scores (Jiao et al. 2020).
        temperature: divides both sides' scores before the softmax; ``score_mse`` has none.
        stack: the stack whose layers are compared (``encoder``, ``decoder``, ``text``,
            ``vision``); None for the models' only one.
        layers: which teacher layer teaches which student layer, see `resolve_layer_map`; None for
            the trainer's ``layer_map``. In a term fitted to two models it is a `GroupMatch`.
    """

    weight: float = 1.0
    kind: str = AttentionLoss.KL
    temperature: float = 1.0
    stack: str | None = None
    layers: LayerMapSpec | GroupMatch | None = None
    needs_teacher = True

    def __post_init__(self) -> None:
        check_positive("the attention term's weight", self.weight)
        check_positive("the attention term's temperature", self.temperature)
        self._check_choice("kind", AttentionLoss)
        if self.kind == AttentionLoss.SCORE_MSE and self.temperature != 1.0:
            raise InputError(
                "score_mse compares raw scores, which no temperature divides; leave it at 1.0"
            )

    def fitted(
        self, student: nn.Module, teacher: nn.Module | None, layer_map: LayerMapSpec
    ) -> Self:
        """The term with its layers found in both models.

        Args:
            student: the model that learns.
            teacher: the model it learns from.
            layer_map: where the term has no ``layers`` of its own.

        Raises:
            InputError: see `match_layers`.
        """
        if isinstance(self.layers, GroupMatch):
            return self
        assert teacher is not None, "terms that need a teacher are fitted to one"
        spec = layer_map if self.layers is None else self.layers
        match = match_layers(student, teacher, spec, stack=self.stack, cross=self._is_cross)
        return replace(self, layers=match)

    @property
    def match(self) -> GroupMatch:
        """The paired layers of a fitted term."""
        if not isinstance(self.layers, GroupMatch):
            raise InputError(
                "the term has not been fitted to its models: give the objective to "
                "DistillationTrainer or Distiller, or call fitted()"
            )
        return self.layers

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Query rows that are not padding, or examples where a batch cannot say (pixels).

        For ``score_mse`` pairs of such a query and a key.
        """
        match = self.layers if isinstance(self.layers, GroupMatch) else None
        queries = Queries.INPUT if match is None else match.queries
        if self.kind == AttentionLoss.SCORE_MSE:
            cross, causal = self._is_cross, match is not None and match.causal
            return count_pairs(batch, queries, cross=cross, causal=causal)
        rows = query_rows(batch, queries)
        return count_examples(batch) if rows is None else rows.sum()

    def total(self, step: Step) -> Tensor:
        """Σ over rows (pairs), averaged over heads and paired layers."""
        match = self.match
        rows = query_rows(step.batch, match.queries)
        totals = []
        for student_layer, teacher_layer in match.layer_map.pairs:
            student = step.student_attention[match.student, student_layer]
            teacher = step.teacher_attention[match.teacher, teacher_layer]
            for pair in self.relation_pairs(student, teacher):
                loss = self._compare(*pair, rows)
                if rows is None:  # all examples have as many rows
                    totals.append(loss.mean() * count_examples(step.batch))
                else:
                    totals.append(loss.total / pair[0].shape.heads)
        return torch.stack(totals).mean()

    def relation_pairs(
        self, student: AttentionRecord, teacher: AttentionRecord
    ) -> Iterator[RelationPair]:
        """The relations compared of a pair of layers, with the same number of heads."""
        raise NotImplementedError

    @property
    def needs_values(self) -> bool:
        """Whether the values must be captured too."""
        return False

    @property
    def _is_cross(self) -> bool:
        return False

    def _compare(
        self, student: Relation, teachers: Sequence[Relation], rows: Tensor | None
    ) -> LossSum:
        if self.kind == AttentionLoss.SCORE_MSE:
            return score_mse(student, teachers, rows=rows)
        return attention_divergence(
            student, teachers, rows=rows, kind=self.kind, temperature=self.temperature
        )

    def _check_choice(self, name: str, options: type[StrEnum]) -> None:
        if getattr(self, name) not in list(options):
            raise InputError(
                f"unknown {name} {getattr(self, name)!r} for the attention term: choose "
                f"{', '.join(options)}"
            )


def shared_heads(student: Relation, teacher: Relation) -> int:
    """The greatest number of relation heads that cut across no head of either model."""
    return math.gcd(student.key.shape[1], teacher.key.shape[1])


def check_relation_heads(heads: int | None) -> None:
    """Refuse a number of relation heads that is not one."""
    if heads is not None and (type(heads) is not int or heads < 1):
        raise InputError(f"relation_heads must be a whole number from 1, not {heads!r}")
