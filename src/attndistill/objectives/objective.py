"""The objective: Σ weight · (sum over items / number of items), over all terms."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from ..errors import InputError
from ..matching import LayerGroup, LayerMapSpec
from .layerwise import LayerwiseTerm
from .step import ModelDependent, Step, Term, check_positive


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
    def layerwise_terms(self) -> dict[str, LayerwiseTerm]:
        """The terms that compare attention."""
        return {n: term for n, term in self.terms.items() if isinstance(term, LayerwiseTerm)}

    @property
    def needs_attention(self) -> bool:
        """Whether any term compares attention."""
        return bool(self.layerwise_terms)

    @property
    def needs_values(self) -> bool:
        """Whether any term compares the values too."""
        return any(term.needs_values for term in self.layerwise_terms.values())

    @property
    def student_layers(self) -> dict[tuple[str, str], list[int]]:
        """The student's attention layers that learn, by group; of a fitted objective."""
        matches = [term.match for term in self.layerwise_terms.values()]
        return _union((match.student, match.layer_map.student_layers) for match in matches)

    @property
    def teacher_layers(self) -> dict[tuple[str, str], list[int]]:
        """The teacher's attention layers that teach, by group; of a fitted objective."""
        matches = [term.match for term in self.layerwise_terms.values()]
        return _union((match.teacher, match.layer_map.teacher_layers) for match in matches)

    def fitted(
        self, student: nn.Module, teacher: nn.Module | None, layer_map: LayerMapSpec = "uniform"
    ) -> "Objective":
        """The objective with its terms fitted to two models, see `ModelDependent`.

        Raises:
            InputError: naming the term that does not suit them.
        """
        terms: dict[str, Term] = {}
        for name, term in self.terms.items():
            terms[name] = term
            if not isinstance(term, ModelDependent):
                continue
            try:
                terms[name] = term.fitted(student, teacher, layer_map)
            except InputError as error:
                raise InputError(f"the objective's term {name!r}: {error}") from error
        return Objective(terms)

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


def _union(groups: Iterable[tuple[LayerGroup, list[int]]]) -> dict[tuple[str, str], list[int]]:
    union: dict[tuple[str, str], set[int]] = {}
    for group, layers in groups:
        union.setdefault(group, set()).update(layers)
    return {group: sorted(layers) for group, layers in union.items()}
