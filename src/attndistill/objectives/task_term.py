"""The task's own loss, from the labels."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..capture.architectures import Item, predicted_item
from ..matching import LayerMapSpec
from .counting import IGNORED_LABEL, count_examples, required_labels
from .step import FittedTerm, Step, check_positive
from .tokens import TokenTerm


@dataclass(frozen=True, kw_only=True)
class TaskTerm:
    """The student's loss on the labels: the model's own per example, cross-entropy per token.

    For language models the logits are formed some tokens at a time, see `objectives.tokens`.

    Attributes:
        weight: its factor in the objective.
        item: what a row of logits predicts, see `predicted_item`; None: given by the student's
            class.
    """

    weight: float = 1.0
    item: str | None = None
    needs_teacher = False

    def __post_init__(self) -> None:
        check_positive("TaskTerm.weight", self.weight)
        if self.item is not None:
            Item(self.item)

    def fitted(
        self, student: nn.Module, teacher: nn.Module | None, layer_map: LayerMapSpec
    ) -> FittedTerm:
        """The term for what the student predicts."""
        # Only the model itself computes the loss that balances the router of a mixture of experts.
        balanced = self.item is None and getattr(student.config, "output_router_logits", False)
        item = Item(self.item or predicted_item(student))
        if balanced or item is Item.EXAMPLE:
            return ModelLoss(weight=self.weight)
        return TokenTerm(
            weight=self.weight,
            item=item,
            needs_teacher=False,
            needs_labels=True,
            row_losses=cross_entropy,
        )


@dataclass(frozen=True, kw_only=True)
class ModelLoss:
    """A `TaskTerm` whose loss the student itself computes, as a mean over its labels."""

    weight: float
    needs_teacher = False

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Labels that are not −100; examples where labels are numbers (regression, label sets)."""
        labels = required_labels(batch)
        if labels.is_floating_point():
            return count_examples(batch)
        return (labels != IGNORED_LABEL).sum()

    def total(self, step: Step) -> Tensor:
        """Σ loss over the labelled items; 0 where none is, though the model's mean is NaN."""
        count = self.count(step.batch)
        loss = step.student.loss.float()
        return torch.where(count > 0, loss, torch.zeros_like(loss)) * count


def cross_entropy(student: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
    """Cross-entropy of each row of logits."""
    assert labels is not None, "the term's count has required labels"
    return F.cross_entropy(student, labels, ignore_index=IGNORED_LABEL, reduction="none")
