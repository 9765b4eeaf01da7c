"""The objective: Σ weight · (sum over items / number of items), over all terms."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from ..errors import InputError
from ..matching import LayerMapSpec
from .plan import ObjectivePlan
from .step import FittedTerm, Term, TermSettings, check_positive


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

    def fitted(
        self, student: nn.Module, teacher: nn.Module | None, layer_map: LayerMapSpec = "uniform"
    ) -> ObjectivePlan:
        """The objective for two models, see `TermSettings.fitted`.

        Raises:
            InputError: naming the term that does not suit them.
        """
        terms: dict[str, FittedTerm] = {}
        for name, term in self.terms.items():
            if not isinstance(term, TermSettings):
                terms[name] = term
                continue
            try:
                terms[name] = term.fitted(student, teacher, layer_map)
            except InputError as error:
                raise InputError(f"the objective's term {name!r}: {error}") from error
            _check_overrides(name, term, terms[name])
        return ObjectivePlan.of(terms)


def _check_overrides(name: str, settings: TermSettings, fitted: FittedTerm) -> None:
    """Refuse ``count`` and ``total`` where nothing would call them."""
    own = [method for method in ("count", "total") if hasattr(settings, method)]
    if own and fitted is not settings:
        raise InputError(
            f"the objective's term {name!r}: {type(settings).__name__} defines "
            f"{' and '.join(own)}, but its fitted() returns a {type(fitted).__name__}, which has "
            "its own; override fitted() and return a term with yours"
        )
