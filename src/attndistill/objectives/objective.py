"""The objective: Σ weight · (sum over items / number of items), over all terms."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..matching import LayerGroup, LayerMapSpec
from .layerwise_term import LayerwiseTerm
from .logits_term import LogitsTerm
from .step import LetGo, ModelDependent, RecordKey, Step, Term, check_positive
from .task_term import TaskTerm
from .tokens import TokenTerm, is_tokenwise, token_totals


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
    def reads_student_output(self) -> bool:
        """Whether any term reads the student's own loss or all its logits."""
        return any(not self._reads_chunks(term) for term in self.terms.values())

    @property
    def reads_teacher_output(self) -> bool:
        """Whether any term reads all the teacher's logits."""
        terms = [term for term in self.terms.values() if term.needs_teacher]
        return any(not self._reads_chunks(term) for term in terms)

    @property
    def reads_teacher_logits(self) -> bool:
        """Whether any term compares logits, all at once or not."""
        return self.reads_teacher_output or any(
            term.needs_teacher for term in self._tokenwise_terms.values()
        )

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

    def let_go(self, step: Step) -> Step:
        """The step for one reading by `loss`, which frees each of the teacher's records with it.

        Where a term is not one of this package's, the records stay.
        """
        readings: Counter[RecordKey] = Counter()
        for term in self.terms.values():
            if isinstance(term, LayerwiseTerm) and type(term).total is LayerwiseTerm.total:
                pairs = term.match.layer_map.pairs
                readings.update((term.match.teacher, teacher) for _, teacher in pairs)
            elif type(term) not in (TaskTerm, LogitsTerm):
                return step
        return replace(step, teacher_attention=LetGo(step.teacher_attention, readings))

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

    def loss(self, step: Step, counts: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective on a micro-batch, as its share of the optimizer step's.

        Args:
            step: the micro-batch.
            counts: the items of every term in the whole optimizer step.

        Returns:
            Σ weight · total / count with its graph, and each term's total / count without.
        """
        counts = {name: count.clamp_min(1) for name, count in counts.items()}
        totals: dict[str, Tensor] = {}
        parts: list[Tensor] = []
        if tokenwise := self._tokenwise_terms:
            factors = torch.stack([term.weight / counts[n] for n, term in tokenwise.items()])
            part, each = token_totals(step, tokenwise, factors)
            parts.append(part)
            totals.update(zip(tokenwise, each.unbind(), strict=True))
        for name, term in self.terms.items():
            if name not in tokenwise:
                totals[name] = term.total(step)
                parts.append(term.weight * totals[name] / counts[name])
        means = {name: totals[name].detach() / counts[name] for name in self.terms}
        return sum(parts[1:], start=parts[0]), means

    def means(self, step: Step, counts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each term's share alone, total / count, with a graph of its own."""
        return {
            name: term.total(step) / counts[name].clamp_min(1) for name, term in self.terms.items()
        }

    def weighted_sum(self, means: Mapping[str, Tensor]) -> Tensor:
        """The objective from its terms' means."""
        parts = [self.terms[name].weight * mean for name, mean in means.items()]
        return sum(parts[1:], start=parts[0])

    @property
    def _tokenwise_terms(self) -> dict[str, TokenTerm]:
        return {
            name: term
            for name, term in self.terms.items()
            if isinstance(term, TokenTerm) and is_tokenwise(term)
        }

    @staticmethod
    def _reads_chunks(term: Term) -> bool:
        return isinstance(term, LayerwiseTerm) or is_tokenwise(term)


def _union(groups: Iterable[tuple[LayerGroup, list[int]]]) -> dict[tuple[str, str], list[int]]:
    union: dict[tuple[str, str], set[int]] = {}
    for group, layers in groups:
        union.setdefault(group, set()).update(layers)
    return {group: sorted(layers) for group, layers in union.items()}
