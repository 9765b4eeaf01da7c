"""The task's own loss, as the model computes it from the labels."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import InputError
from .step import Step, check_positive


@dataclass(frozen=True, kw_only=True)
class TaskTerm:
    """The student's loss on the labels (cross-entropy for classification), per labelled item.

    Attributes:
        weight: its factor in the objective.
    """

    weight: float = 1.0
    needs_teacher = False

    def __post_init__(self) -> None:
        check_positive("the task term's weight", self.weight)

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Labels that are not −100; examples where labels are numbers (regression, multi-label)."""
        labels = batch.get("labels")
        if labels is None:
            raise InputError(
                "the task term needs labels, but the batch has only "
                f"{', '.join(sorted(batch))}; add labels or remove the task term"
            )
        if labels.is_floating_point():
            return torch.tensor(labels.shape[0], device=labels.device)
        return (labels != -100).sum()

    def total(self, step: Step) -> Tensor:
        """Σ loss over the labelled items: the model's mean times their number."""
        return step.student.loss.float() * self.count(step.batch)
