"""Logits distillation (Hinton et al. 2015)."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError
from .step import Step, check_positive


@dataclass(frozen=True, kw_only=True)
class LogitsTerm:
    """T² · KL(softmax(teacher/T) ‖ softmax(student/T)) per example, in nats.

    T² keeps the gradient's size independent of T (Hinton, Vinyals & Dean 2015, section 2.1).

    Attributes:
        weight: its factor in the objective.
        temperature: T, above 0; higher shows more of the teacher's ranking of wrong classes.
    """

    weight: float = 1.0
    temperature: float = 2.0
    needs_teacher = True

    def __post_init__(self) -> None:
        check_positive("the logits term's weight", self.weight)
        check_positive("the logits term's temperature", self.temperature)

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Examples in the batch."""
        first = next(iter(batch.values()))
        return torch.tensor(first.shape[0], device=first.device)

    def total(self, step: Step) -> Tensor:
        """Σ over the batch's examples of T² · KL(teacher ‖ student)."""
        student, teacher = step.student.logits, step.teacher.logits
        if student.shape != teacher.shape:
            raise InputError(
                f"logits differ in shape: student {list(student.shape)}, teacher "
                f"{list(teacher.shape)}; both need the same labels"
            )
        log_p_student = F.log_softmax(student.float() / self.temperature, dim=-1)
        log_p_teacher = F.log_softmax(teacher.float() / self.temperature, dim=-1)
        kl = F.kl_div(log_p_student, log_p_teacher, reduction="sum", log_target=True)
        return self.temperature**2 * kl
