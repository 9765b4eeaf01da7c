"""The objective: Σ weight · (sum over items / number of items), over all terms."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from ..capture import AttentionRecord
from ..errors import InputError
from ..matching import LayerMap


@dataclass(frozen=True, kw_only=True, eq=False)
class Step:
    """One micro-batch seen by both models.

    Attributes:
        batch: the collated batch.
        student: the student's output (``loss`` where the batch has labels, ``logits``).
        teacher: the teacher's output, or None where no term asks for it.
        student_attention: the student's records by layer number.
        teacher_attention: the teacher's.
        layer_map: the trainer's layer map.
    """

    batch: Mapping[str, Tensor]
    student: Any
    teacher: Any
    student_attention: Mapping[int, AttentionRecord]
    teacher_attention: Mapping[int, AttentionRecord]
    layer_map: LayerMap


class Term(Protocol):
    """One part of the objective. Terms are pure: they move nothing and read nothing back."""

    @property
    def weight(self) -> float:
        """Factor of this term's mean in the objective, above 0."""

    @property
    def needs_teacher(self) -> bool:
        """Whether the teacher must run."""

    @property
    def needs_attention(self) -> bool:
        """Whether the mapped attention layers must be captured."""

    def count(self, batch: Mapping[str, Tensor]) -> Tensor:
        """How many items the batch holds, a scalar; known before any forward."""

    def total(self, step: Step) -> Tensor:
        """The loss summed over those items: a scalar with a graph to the student."""


@dataclass(frozen=True)
class Objective:
    """Named terms, summed with their weights.

    The mean of each term is taken once, over all items of an optimizer step (all micro-batches,
    all processes), so that the objective does not depend on how the step was split.

    Attributes:
        terms: name → term; the names are those of the logs and the report.

    Raises:
        InputError: no terms, or one whose weight is not above 0.
    """

    terms: Mapping[str, Term]

    def __post_init__(self) -> None:
        if not self.terms:
            raise InputError("the objective has no terms: give at least one, such as the task's")
        for name, term in self.terms.items():
            check_positive(f"the weight of the objective's term {name!r}", term.weight)

    @property
    def needs_teacher(self) -> bool:
        """Whether any term asks for the teacher."""
        return any(term.needs_teacher for term in self.terms.values())

    @property
    def needs_attention(self) -> bool:
        """Whether any term asks for attention."""
        return any(term.needs_attention for term in self.terms.values())

    def counts(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Items of each term in one batch."""
        return {name: term.count(batch) for name, term in self.terms.items()}

    def means(self, step: Step, counts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each term's sum over this micro-batch divided by ``counts``, the items of the step."""
        return {
            name: term.total(step) / counts[name].clamp_min(1) for name, term in self.terms.items()
        }

    def weighted_sum(self, means: Mapping[str, Tensor]) -> Tensor:
        """The objective from its terms' means."""
        parts = [self.terms[name].weight * mean for name, mean in means.items()]
        return sum(parts[1:], start=parts[0])


def check_positive(what: str, value: float) -> None:
    """Refuse what is not a finite number above 0."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value < float("inf"):
        raise InputError(
            f"{what} must be a number above 0, not {value!r}; to leave a term out, remove it"
        )
