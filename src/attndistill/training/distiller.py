"""Student, teacher and objective in one: the loss of a batch, for any training loop."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ..capture import capture
from ..capture.forward import evaluating, run_model, run_teacher
from ..errors import InputError
from ..matching import LayerGroup, LayerMapSpec
from ..objectives import Objective, Step, TermReading, read_terms
from ..objectives.step import AttentionRecords

Batch = Mapping[str, Tensor]


class Distiller:
    """The loss of a student under an objective, as `DistillationTrainer` uses it.

    In a training loop of one's own::

        distiller = Distiller(student, teacher, objective=objective)
        for batch in loader:
            distiller.loss(batch).backward()
            optimizer.step()
            optimizer.zero_grad()

    Args:
        student: the model that learns.
        teacher: the model it learns from: run in evaluation mode without gradients, on its own
            device, and never changed. None where no term needs one.
        objective: what to train for.
        layer_map: for attention terms without a layer map of their own, see `resolve_layer_map`.

    Attributes:
        objective: the objective, fitted to both models.

    Raises:
        InputError: the objective needs a teacher, or the models do not suit one of its terms.
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | None = None,
        *,
        objective: Objective,
        layer_map: LayerMapSpec = "uniform",
    ) -> None:
        if objective.needs_teacher and teacher is None:
            raise InputError("the objective compares with a teacher: give teacher_model")
        self.student = student
        self.teacher = teacher
        self.objective = objective.fitted(student, teacher, layer_map)

    def counts(self, batches: Iterable[Batch]) -> dict[str, Tensor]:
        """Items of each term in the micro-batches of one optimizer step."""
        per_batch = [self.objective.counts(batch) for batch in batches]
        return {
            name: torch.stack([counts[name] for counts in per_batch]).sum()
            for name in self.objective.terms
        }

    def loss(
        self,
        batch: Batch,
        *,
        counts: Mapping[str, Tensor] | None = None,
        student: nn.Module | None = None,
    ) -> Tensor:
        """The objective on a batch.

        Args:
            batch: the collated batch, on the student's device.
            counts: the items of the whole optimizer step, see `counts`, where this batch is a part
                of it: the losses of the parts then add up to the objective of the step. By
                default the mean over this batch.
            student: the student as it is wrapped for training, if it is.
        """
        counts = self.objective.counts(batch) if counts is None else counts
        means = self.objective.means(self.step(batch, student=student), counts)
        return self.objective.weighted_sum(means)

    def read_terms(self, batch: Batch) -> dict[str, TermReading]:
        """Value and gradient of every term on one batch, without an update.

        The student runs in evaluation mode, so the reading does not depend on dropout.

        Raises:
            ObjectiveError: a term teaches nothing or is not finite.
        """
        with evaluating(self.student):
            means = self.objective.means(self.step(batch), self.objective.counts(batch))
            trainable = [p for p in self.student.parameters() if p.requires_grad]
            return read_terms(self.objective, means, trainable)

    def step(self, batch: Batch, *, student: nn.Module | None = None) -> Step:
        """Run both models on a batch, see `Step`."""
        student = self.student if student is None else student
        teacher_output: Any = None
        teacher_attention: AttentionRecords = {}
        if self.teacher is not None and self.objective.needs_teacher:
            layers = self.objective.teacher_layers
            teacher_output, teacher_attention = self._run(run_teacher, self.teacher, batch, layers)
        layers = self.objective.student_layers
        student_output, student_attention = self._run(run_model, student, batch, layers)
        return Step(
            batch=batch,
            student=student_output,
            teacher=teacher_output,
            student_attention=student_attention,
            teacher_attention=teacher_attention,
        )

    def _run(
        self,
        run: Callable[[nn.Module, Batch], Any],
        model: nn.Module,
        batch: Batch,
        layers: Mapping[tuple[str, str], list[int]],
    ) -> tuple[Any, AttentionRecords]:
        """A model's output, and its records of these layers."""
        if not layers:
            return run(model, batch), {}
        with capture(model, layers, values=self.objective.needs_values) as records:
            output = run(model, batch)
        by_layer = {(LayerGroup(r.stack, r.kind), r.layer): r for r in records}
        return output, by_layer
