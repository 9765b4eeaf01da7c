"""What a term is, and what it computes its loss from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import Tensor, nn

from ..capture import AttentionRecord
from ..errors import InputError
from ..matching import LayerGroup, LayerMapSpec
from .output_head import HiddenLogits

RecordKey = tuple[LayerGroup, int]
AttentionRecords = dict[RecordKey, AttentionRecord]


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One micro-batch seen by both models.

    Attributes:
        batch: the collated batch.
        student: the student's output (``loss`` where the batch has labels, ``logits``).
        teacher: the teacher's output, or None where no term asks for it.
        student_attention: the student's records by group and layer number.
        teacher_attention: the teacher's; `ObjectivePlan.loss` removes each after the last
            comparison that needs it.
        student_hidden: what the student's logits are formed from, where its forward has been kept
            from forming them; its output then has none.
        teacher_hidden: likewise the teacher's.
    """

    batch: Mapping[str, Tensor]
    student: Any
    teacher: Any
    student_attention: AttentionRecords
    teacher_attention: AttentionRecords
    student_hidden: HiddenLogits | None = None
    teacher_hidden: HiddenLogits | None = None

    def teacher_record(self, key: RecordKey) -> AttentionRecord:
        """The teacher's record of a group and layer.

        Raises:
            RuntimeError: it has been freed.
        """
        if key not in self.teacher_attention:
            raise RuntimeError(
                "the loss of this step has been taken, which freed the teacher's records; run the "
                "models again (Distiller.step) to take it once more"
            )
        return self.teacher_attention[key]

    @property
    def student_logits(self) -> HiddenLogits | Tensor:
        """The student's logits, formed or not."""
        return self.student.logits if self.student_hidden is None else self.student_hidden

    @property
    def teacher_logits(self) -> HiddenLogits | Tensor:
        """The teacher's logits, formed or not."""
        return self.teacher.logits if self.teacher_hidden is None else self.teacher_hidden


class FittedTerm(Protocol):
    """One part of an objective, ready for its models.

    Terms are pure: they move no tensors between devices and read no values back to the host.
    """

    @property
    def weight(self) -> float:
        """Factor of this term's mean in the objective, above 0."""

    @property
    def needs_teacher(self) -> bool:
        """Whether the teacher must run."""

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """How many items the batch holds, a scalar; known before any forward."""

    def total(self, step: Step) -> Tensor:
        """The loss summed over those items: a scalar with a graph to the student."""


@runtime_checkable
class TermSettings(Protocol):
    """The settings of a term that depends on the models: it is fitted to them once."""

    @property
    def weight(self) -> float:
        """Factor of the term's mean in the objective, above 0."""

    @property
    def needs_teacher(self) -> bool:
        """Whether the teacher must run."""

    def fitted(
        self, student: nn.Module, teacher: nn.Module | None, layer_map: LayerMapSpec
    ) -> FittedTerm:
        """The term for these models.

        Args:
            student: the model that learns.
            teacher: the model it learns from, if any.
            layer_map: for terms without a layer map of their own.

        Raises:
            InputError: the term does not fit the models.
        """


# What an objective is made of: terms that depend on no model are fitted as they are.
Term = FittedTerm | TermSettings


def check_positive(what: str, value: float) -> None:
    """Refuse what is not a finite number above 0."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < float("inf"):
        raise InputError(
            f"{what} must be a number above 0, not {value!r}; to leave a term out, remove it"
        )


def check_same_shape(student: Tensor, teacher: Tensor) -> None:
    """Refuse logits that are not of the same labels or tokens."""
    if student.shape != teacher.shape:
        raise InputError(
            f"logits differ in shape: student {list(student.shape)}, teacher "
            f"{list(teacher.shape)}; both need the same labels or tokens"
        )
