"""Student, teacher and objective in one: the loss of a batch, for any training loop."""

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ..capture import AttentionRecord, capture
from ..capture.forward import can_stop, evaluating, run_model, run_teacher, unlabelled
from ..errors import InputError
from ..matching import LayerGroup, LayerMapSpec
from ..objectives import Objective, Step, TermReading, read_terms
from ..objectives.output_head import HiddenLogits, OutputHead, headless, output_head
from ..objectives.step import AttentionRecords
from .peft_students import check_adapters, has_adapters, without_adapters

Batch = Mapping[str, Tensor]


class Distiller:
    """The loss of a student under an objective, as `DistillationTrainer` uses it.

    In your own training loop::

        distiller = Distiller(student, teacher, objective=objective)
        for batch in loader:
            distiller.loss(batch).backward()
            optimizer.step()
            optimizer.zero_grad()

    Args:
        student: the model that learns.
        teacher: the model it learns from: run in evaluation mode without gradients and never
            changed; on the student's device, or spread or offloaded by a ``device_map``; in any
            dtype or quantized. None where no term needs one, and for a student with PEFT
            adapters, which then learns from itself with the adapters off: the weights are in
            memory once.
        objective: what to train for.
        layer_map: for attention terms without a layer map of their own, see `resolve_layer_map`.

    Attributes:
        plan: the objective, fitted to both models.

    Raises:
        InputError: the objective needs a teacher, the models do not suit one of its terms, or the
            student uses virtual tokens (prompt learning).
    """

    def __init__(
        self,
        student: nn.Module,
        teacher: nn.Module | None = None,
        *,
        objective: Objective,
        layer_map: LayerMapSpec = "uniform",
    ) -> None:
        if not isinstance(objective, Objective):
            raise InputError(
                f"objective must be an Objective of named terms, not {type(objective).__name__}"
            )
        self._adapters_off = teacher is None and has_adapters(student)
        if objective.needs_teacher:
            check_adapters(student)
            teacher = student if self._adapters_off else teacher
            if teacher is None:
                raise InputError(
                    "the objective compares with a teacher: give teacher_model (or peft_config, to "
                    "learn from the same weights with the adapters off)"
                )
        self.student = student
        self.teacher = teacher
        self.plan = objective.fitted(student, teacher, layer_map)
        # Without logits to compare, the teacher's last layers would run for nothing.
        self._stops_teacher = (
            teacher is not None and not self.plan.reads_teacher_logits and can_stop(teacher)
        )
        # Logits of all tokens are formed only for terms that read them.
        self._student_head = self._teacher_head = None
        if not self.plan.reads_student_output:
            self._student_head = output_head(student)
        if not (teacher is None or self._stops_teacher or self.plan.reads_teacher_output):
            self._teacher_head = output_head(teacher)

    def counts(self, batches: Iterable[Batch]) -> dict[str, Tensor]:
        """Items of each term in the micro-batches of one optimizer step."""
        per_batch = [self.plan.counts(batch) for batch in batches]
        return {
            name: torch.stack([counts[name] for counts in per_batch]).sum()
            for name in self.plan.terms
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
                default the loss is the mean over this batch.
            student: the student as it is wrapped for training, if it is.
        """
        return self.loss_and_terms(batch, counts=counts, student=student)[0]

    def loss_and_terms(
        self,
        batch: Batch,
        *,
        counts: Mapping[str, Tensor] | None = None,
        student: nn.Module | None = None,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The objective on a batch as in `loss`, and the terms of this weighted sum, for logging.

        Args:
            batch: see `loss`.
            counts: see `loss`; the terms of the parts of an optimizer step add up too.
            student: see `loss`.

        Returns:
            The loss, and each term's value before its weight, without a graph.
        """
        counts = self.plan.counts(batch) if counts is None else counts
        return self.plan.loss(self.step(batch, student=student), counts)

    def read_terms(self, batch: Batch) -> dict[str, TermReading]:
        """Value and gradient of every term on one batch, without an update.

        The student runs in evaluation mode, so the reading does not depend on dropout.

        Raises:
            ObjectiveError: a term teaches nothing or is not finite.
        """
        with evaluating(self.student):
            means = self.plan.means(self.step(batch), self.plan.counts(batch))
            trainable = [p for p in self.student.parameters() if p.requires_grad]
            return read_terms(self.plan, means, trainable)

    def step(
        self, batch: Batch, *, student: nn.Module | None = None, keep_logits: bool = False
    ) -> Step:
        """Run both models on a batch, see `Step`.

        Args:
            batch: the collated batch.
            student: the student as it is wrapped for training, if it is.
            keep_logits: form all the student's logits, even if no term needs them at once.
        """
        teacher = _Run()
        if self.teacher is not None and self.plan.needs_teacher:
            teacher = self._run(
                self._run_teacher,
                self.teacher,
                batch,
                self.plan.teacher_layers,
                head=self._teacher_head,
                stop=self._stops_teacher,
            )
        head = None if keep_logits else self._student_head
        model = self.student if student is None else student
        ours = self._run(run_model, model, batch, self.plan.student_layers, head=head)
        return Step(
            batch=batch,
            student=ours.output,
            teacher=teacher.output,
            student_attention=ours.attention,
            teacher_attention=teacher.attention,
            student_hidden=ours.hidden,
            teacher_hidden=teacher.hidden,
        )

    def _run_teacher(self, teacher: nn.Module, batch: Batch) -> Any:
        with without_adapters(teacher) if self._adapters_off else nullcontext():
            return run_teacher(teacher, batch)

    def _run(
        self,
        run: Callable[[nn.Module, Batch], Any],
        model: nn.Module,
        batch: Batch,
        layers: Mapping[tuple[str, str], list[int]],
        *,
        head: OutputHead | None,
        stop: bool = False,
    ) -> "_Run":
        with ExitStack() as stack:
            records: list[AttentionRecord] = []
            if layers:
                values = self.plan.needs_values
                records = stack.enter_context(capture(model, layers, values=values, stop=stop))
            caught: list[HiddenLogits] = []
            device = next(iter(batch.values())).device
            if head is not None:
                caught = stack.enter_context(headless(head, device))
                batch = unlabelled(model, batch)
            output = run(model, batch)
        # A teacher spread by a device_map leaves its records where its layers are.
        return _Run(
            output=output,
            attention={(LayerGroup(r.stack, r.kind), r.layer): r.to(device) for r in records},
            hidden=caught[0] if caught else None,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    """The results of one model's forward."""

    output: Any = None
    attention: AttentionRecords = field(default_factory=dict)
    hidden: HiddenLogits | None = None
