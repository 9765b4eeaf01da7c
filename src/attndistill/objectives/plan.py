"""An objective fitted to two models: what their forwards must provide, and the loss."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from ..matching import LayerGroup
from .fitted_layers import FittedLayerwiseTerm
from .step import FittedTerm, RecordKey, Step
from .tokens import TokenTerm, token_totals

LayersByGroup = dict[tuple[str, str], list[int]]


@dataclass(frozen=True, kw_only=True)
class ObjectivePlan:
    """The terms of an `Objective`, fitted to two models.

    Attributes:
        terms: all of them, by name.
        layerwise: those on attention layers.
        tokenwise: those that are sums over predicted tokens.
        needs_teacher: whether the teacher must run.
        needs_values: whether the values must be captured with queries and keys.
        student_layers: the student's attention layers that learn, by (stack, kind).
        teacher_layers: the teacher's attention layers that teach, by (stack, kind).
        reads_student_output: whether a term reads the student's own loss or all its logits.
        reads_teacher_output: whether a term reads all the teacher's logits.
        reads_teacher_logits: whether a term compares logits, all at once or in chunks.
    """

    terms: Mapping[str, FittedTerm]
    layerwise: Mapping[str, FittedLayerwiseTerm]
    tokenwise: Mapping[str, TokenTerm]
    needs_teacher: bool
    needs_values: bool
    student_layers: LayersByGroup
    teacher_layers: LayersByGroup
    reads_student_output: bool
    reads_teacher_output: bool
    reads_teacher_logits: bool

    @classmethod
    def of(cls, terms: Mapping[str, FittedTerm]) -> Self:
        """The plan of fitted terms, by name."""
        layerwise = {n: term for n, term in terms.items() if isinstance(term, FittedLayerwiseTerm)}
        tokenwise = {n: term for n, term in terms.items() if isinstance(term, TokenTerm)}
        others = [term for n, term in terms.items() if n not in (layerwise | tokenwise)]
        maps = [(term.match, term.match.layer_map) for term in layerwise.values()]
        reads_teacher_output = any(term.needs_teacher for term in others)
        return cls(
            terms=terms,
            layerwise=layerwise,
            tokenwise=tokenwise,
            needs_teacher=any(term.needs_teacher for term in terms.values()),
            needs_values=any(term.needs_values for term in layerwise.values()),
            student_layers=_union((match.student, layers.student_layers) for match, layers in maps),
            teacher_layers=_union((match.teacher, layers.teacher_layers) for match, layers in maps),
            reads_student_output=bool(others),
            reads_teacher_output=reads_teacher_output,
            reads_teacher_logits=reads_teacher_output
            or any(term.needs_teacher for term in tokenwise.values()),
        )

    def counts(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Items of each term in one batch."""
        return {name: term.count(batch) for name, term in self.terms.items()}

    def loss(self, step: Step, counts: Mapping[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective on a micro-batch, as its share of the optimizer step's.

        The teacher's records leave the step with their last comparison: the gradients of a
        student's layer, kept for the backward, then reuse the memory of the queries and keys that
        taught it, instead of adding to those of all the teacher's layers.

        Args:
            step: the micro-batch; its loss can be taken only once.
            counts: the items of every term in the whole optimizer step.

        Returns:
            Σ weight · total / count with its graph, and each term's total / count without.
        """
        counts = {name: count.clamp_min(1) for name, count in counts.items()}
        left = Counter(key for term in self.layerwise.values() for key in term.teacher_records)

        def compared(key: RecordKey) -> None:
            left[key] -= 1
            if not left[key]:
                del step.teacher_attention[key]

        totals: dict[str, Tensor] = {}
        parts: list[Tensor] = []
        if self.tokenwise:
            factors = torch.stack([term.weight / counts[n] for n, term in self.tokenwise.items()])
            part, each = token_totals(step, self.tokenwise, factors)
            parts.append(part)
            totals.update(zip(self.tokenwise, each.unbind(), strict=True))
        # Those on attention layers come last: others may read any record.
        for name, term in self.terms.items():
            if name not in self.layerwise and name not in self.tokenwise:
                totals[name] = term.total(step)
        for name, layerwise in self.layerwise.items():
            totals[name] = layerwise.total(step, compared)
        parts += [
            term.weight * totals[name] / counts[name]
            for name, term in self.terms.items()
            if name not in self.tokenwise
        ]
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


def _union(groups: Iterable[tuple[LayerGroup, list[int]]]) -> LayersByGroup:
    union: dict[tuple[str, str], set[int]] = {}
    for group, layers in groups:
        union.setdefault(group, set()).update(layers)
    return {group: sorted(layers) for group, layers in union.items()}
