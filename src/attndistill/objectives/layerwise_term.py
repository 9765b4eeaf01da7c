"""The settings that terms on attention layers share."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import nn

from ..capture import AttentionRecord
from ..errors import InputError
from ..matching import LayerMapSpec, match_layers
from ..ops import Masks, Relation
from .fitted_layers import AttentionLoss, FittedLayerwiseTerm
from .step import check_positive

RelationPair = tuple[Relation, Sequence[Relation]]


@dataclass(frozen=True, kw_only=True)
class LayerwiseTerm(ABC):
    """Divergence of the student's relations from the teacher's, over paired attention layers.

    Per layer it is the mean over heads and query rows that are not padding; layers weigh the same.
    Nothing of size queries × keys is held (see `attndistill.ops.attention_divergence`).

    Attributes:
        weight: its factor in the objective.
        kind: ``kl``, ``reverse_kl``, ``js`` (nats), ``mse``, ``cosine`` on probabilities, or
            ``score_mse`` on raw scores (Jiao et al. 2020).
        temperature: divides both sides' scores before the softmax; ``score_mse`` has none.
        stack: the stack whose layers are compared (``encoder``, ``decoder``, ``text``,
            ``vision``); None where each model has only one.
        masks: ``intersect`` compares the keys that both sides see (a sliding window beside full
            attention, for example); ``equal`` refuses sides that see different keys.
        layers: which teacher layer teaches which student layer, see `resolve_layer_map`; None for
            the trainer's ``layer_map``.
    """

    weight: float = 1.0
    kind: str = AttentionLoss.KL
    temperature: float = 1.0
    stack: str | None = None
    masks: str = Masks.INTERSECT
    layers: LayerMapSpec | None = None
    needs_teacher = True
    # Whether the stack's cross-attention is compared, and not its self-attention.
    cross = False

    def __post_init__(self) -> None:
        check_positive(f"{type(self).__name__}.weight", self.weight)
        check_positive(f"{type(self).__name__}.temperature", self.temperature)
        Masks(self.masks)
        if AttentionLoss(self.kind) is AttentionLoss.SCORE_MSE and self.temperature != 1.0:
            raise InputError(
                "score_mse compares raw scores and has no temperature, but temperature is "
                f"{self.temperature}; remove it"
            )

    def fitted(
        self, student: nn.Module, teacher: nn.Module | None, layer_map: LayerMapSpec
    ) -> FittedLayerwiseTerm:
        """The term with its layers found in both models.

        Args:
            student: the model that learns.
            teacher: the model it learns from.
            layer_map: where the term has no ``layers`` of its own.

        Raises:
            InputError: see `match_layers`.
        """
        assert teacher is not None, "terms that need a teacher are fitted to one"
        spec = layer_map if self.layers is None else self.layers
        match = match_layers(student, teacher, spec, stack=self.stack, cross=self.cross)
        return FittedLayerwiseTerm(
            weight=self.weight,
            kind=self.kind,
            temperature=self.temperature,
            masks=self.masks,
            match=match,
            needs_values=self.needs_values,
            relation_pairs=self.relation_pairs,
        )

    @abstractmethod
    def relation_pairs(
        self, student: AttentionRecord, teacher: AttentionRecord
    ) -> Iterator[RelationPair]:
        """The relations compared in a pair of layers, with the same number of heads."""

    @property
    def needs_values(self) -> bool:
        """Whether the values must be captured too."""
        return False


def shared_heads(student: Relation, teacher: Relation) -> int:
    """The greatest number of relation heads that cut across no head of either model."""
    return math.gcd(student.key.shape[1], teacher.key.shape[1])


def check_relation_heads(heads: int | None) -> None:
    """Refuse anything but None and whole numbers from 1."""
    if heads is not None and (type(heads) is not int or heads < 1):
        raise InputError(f"relation_heads must be a whole number from 1, not {heads!r}")
