"""The task's own loss, from the labels."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self

from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError
from ..matching import LayerMapSpec
from .counting import IGNORED_LABEL, count_examples, count_items
from .output_head import predicted_item
from .step import Step, check_item, check_positive
from .tokens import is_tokenwise, token_total


@dataclass(frozen=True, kw_only=True)
class TaskTerm:
    """The student's loss on the labels: per example as the model computes it, per token
    cross-entropy.

    Of a language model no logits of all tokens are held, see `objectives.tokens`.

    Attributes:
        weight: its factor in the objective.
        item: what a row of logits predicts, see `predicted_item`; None: as the student's class
            says.
    """

    weight: float = 1.0
    item: str | None = None
    needs_teacher = False

    def __post_init__(self) -> None:
        check_positive("the task term's weight", self.weight)
        check_item(self.item)

    def fitted(
        self, student: nn.Module, teacher: nn.Module | None, layer_map: LayerMapSpec
    ) -> Self:
        """The term with its item."""
        if self.item is None and not getattr(student.config, "output_router_logits", False):
            return replace(self, item=predicted_item(student))
        # The loss of a mixture of experts that balances its router is the model's own.
        return self

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Labels that are not −100; examples where labels are numbers (regression, multi-label)."""
        labels = batch.get("labels")
        if labels is None:
            raise InputError(
                "the task term needs labels, but the batch has only "
                f"{', '.join(sorted(batch))}; add labels or remove the task term"
            )
        if labels.is_floating_point():
            return count_examples(batch)
        if is_tokenwise(self):
            return count_items(batch, self.item)
        return (labels != IGNORED_LABEL).sum()

    def total(self, step: Step) -> Tensor:
        """Σ loss over the labelled items."""
        if is_tokenwise(self):
            return token_total(step, self)
        return step.student.loss.float() * self.count(step.batch)

    def row_losses(self, student: Tensor, teacher: Tensor | None, labels: Tensor | None) -> Tensor:
        """Cross-entropy of each row of logits."""
        assert labels is not None, "count() has asked for labels"
        return F.cross_entropy(student, labels, ignore_index=IGNORED_LABEL, reduction="none")
