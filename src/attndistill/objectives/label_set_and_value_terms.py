"""Logits distillation where a model predicts no single class: sets of labels, and numbers."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from .counting import count_examples
from .step import Step, check_positive, check_same_shape


@dataclass(frozen=True, kw_only=True)
class LabelSetTerm:
    """T² · Σ_labels KL(Bernoulli(σ(teacher/T)) ‖ Bernoulli(σ(student/T))) per example, in nats.

    Each label of a multi-label classifier is a yes–no question of its own; T² as in `LogitsTerm`.

    Attributes:
        weight: its factor in the objective.
        temperature: T, above 0.
    """

    weight: float = 1.0
    temperature: float = 2.0
    needs_teacher = True

    def __post_init__(self) -> None:
        check_positive("LabelSetTerm.weight", self.weight)
        check_positive("LabelSetTerm.temperature", self.temperature)

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Examples in the batch."""
        return count_examples(batch)

    def total(self, step: Step) -> Tensor:
        """Σ over examples and labels."""
        student, teacher = (z / self.temperature for z in _outputs(step))
        # Logarithms of p and 1 − p; KL = p·(log p − log q) + (1 − p)·(log(1 − p) − log(1 − q)).
        yes = teacher.sigmoid() * (F.logsigmoid(teacher) - F.logsigmoid(student))
        no = (-teacher).sigmoid() * (F.logsigmoid(-teacher) - F.logsigmoid(-student))
        return self.temperature**2 * (yes + no).sum()


@dataclass(frozen=True, kw_only=True)
class ValueTerm:
    """(student − teacher)² per example: a regression model's number follows the teacher's.

    Attributes:
        weight: its factor in the objective.
    """

    weight: float = 1.0
    needs_teacher = True

    def __post_init__(self) -> None:
        check_positive("ValueTerm.weight", self.weight)

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Examples in the batch."""
        return count_examples(batch)

    def total(self, step: Step) -> Tensor:
        """Σ over examples of the mean over their outputs."""
        student, teacher = _outputs(step)
        return (student - teacher).square().mean(-1).sum()


def _outputs(step: Step) -> tuple[Tensor, Tensor]:
    student, teacher = step.student.logits.float(), step.teacher.logits.float()
    check_same_shape(student, teacher)
    return student, teacher
