"""Hugging Face's Trainer with a teacher and an objective."""

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from datasets import Dataset, IterableDataset
from torch import Tensor, nn
from transformers import PreTrainedModel, Seq2SeqTrainer, TrainerCallback
from transformers.trainer_utils import EvalLoopOutput

from ..capture.forward import forward_columns, run_model
from ..errors import InputError
from ..matching import LayerMapSpec
from ..objectives import Objective, TaskTerm, TermReading, read_terms
from ..objectives.guards import check_finite_terms
from .arguments import DistillationArguments
from .distiller import Distiller
from .placement import place_teacher
from .tallies import Tally


class DistillationTrainer(Seq2SeqTrainer):
    """``transformers.Trainer`` with a teacher and an `Objective` in place of the model's loss.

    Everything else is Trainer's: arguments, callbacks, checkpoints, resuming, best model, early
    stopping, ``predict_with_generate`` for encoder–decoders. The objective's terms are logged as
    ``loss_<name>`` (``eval_loss_<name>`` in evaluation). Under gradient accumulation and several
    processes each term is the mean over all items of the optimizer step, whatever the split.

    Args:
        model: the student.
        teacher_model: the teacher: run in evaluation mode without gradients, and never changed. A
            student with adapters needs none: it learns from its own weights with the adapters off.
        args: training arguments.
        objective: what to train for.
        layer_map: which teacher layer teaches which student layer, see `resolve_layer_map`.
        train_dataset, eval_dataset, data_collator, processing_class, compute_metrics,
            preprocess_logits_for_metrics, callbacks, optimizers: as in ``transformers.Trainer``.
        peft_config: train adapters of the student instead of all its weights.

    Raises:
        InputError: teacher and student cannot be paired, or the set-up would train wrongly.
    """

    # The objective is normalised over the whole optimizer step; Trainer must not divide again.
    loss_is_scaled_for_ga = True
    teacher_model: PreTrainedModel | None

    def __init__(
        self,
        model: PreTrainedModel,
        teacher_model: PreTrainedModel | None = None,
        args: DistillationArguments | None = None,
        *,
        objective: Objective,
        layer_map: LayerMapSpec = "uniform",
        data_collator: Callable | None = None,
        train_dataset: Dataset | IterableDataset | None = None,
        eval_dataset: Dataset | dict[str, Dataset] | None = None,
        processing_class: Any = None,
        compute_metrics: Callable | None = None,
        preprocess_logits_for_metrics: Callable | None = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[Any, Any] = (None, None),
        peft_config: Any = None,
    ) -> None:
        args = args or DistillationArguments()
        _check_devices(args)
        _check_generation(args, model)
        if peft_config is not None:
            from peft import get_peft_model

            model = get_peft_model(model, peft_config)
        self.distiller = Distiller(model, teacher_model, objective=objective, layer_map=layer_map)
        self.objective: Objective = objective
        self.plan = self.distiller.plan
        super().__init__(
            model=model,
            args=args,
            data_collator=data_collator,
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            compute_metrics=compute_metrics,
            preprocess_logits_for_metrics=preprocess_logits_for_metrics,
            callbacks=callbacks,
            optimizers=optimizers,
        )
        self.teacher_model = teacher_model
        if teacher_model is not None:
            place_teacher(teacher_model, self.args.device)
        self.term_readings: dict[str, TermReading] | None = None
        self._step_counts: dict[str, Tensor] = {}
        self._keeps_logits = True
        self._train_tally = Tally()
        self._eval_tally = Tally()

    def dry_run(self, batch: Mapping[str, Tensor]) -> dict[str, TermReading]:
        """Value and gradient of every term on one batch, without an update.

        Both models run in evaluation mode, so the reading does not depend on dropout.
        """
        inputs = self._prepare_inputs(dict(batch))
        with self.compute_loss_context_manager():
            return self.distiller.read_terms(inputs)

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list, Tensor | int | None]:
        """Collect the micro-batches of a step, and count every term's items over all of them."""
        ended = 0 < self.state.max_steps <= self.state.global_step
        if ended or self.control.should_training_stop:
            # Trainer checks for its end only after a step: resumed at its end, it would take one.
            return [], None
        batches, num_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        if batches:
            self._step_counts = self._count(batches, device)
            self._train_tally.steps += 1
        return batches, num_items

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """The objective on one micro-batch: its share of the step's mean."""
        keep_logits = return_outputs and self._keeps_logits
        step = self.distiller.step(inputs, student=model, keep_logits=keep_logits)
        if model.training:
            counts = self._step_counts
            if self.term_readings is None:
                means = self.plan.means(step, counts)
                self.term_readings = read_terms(self.plan, means, self._trainable())
            loss, means = self.plan.loss(step, counts)
            self._train_tally.add(means)
            # Processes' gradients are averaged, but each holds only its own share of the mean.
            loss = loss * self.accelerator.num_processes
        else:
            counts = self.plan.counts(inputs)
            loss, means = self.plan.loss(step, counts)
            self._eval_tally.add(means, counts)
        if not return_outputs:
            return loss
        # Logits only: Trainer would gather every other tensor of the output over the whole set.
        return loss, {"loss": loss, "logits": getattr(step.student, "logits", None)}

    def prediction_step(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        prediction_loss_only: bool,
        ignore_keys: list[str] | None = None,
        **gen_kwargs: Any,
    ) -> Any:
        """Loss, predictions and labels of a batch: what `evaluate` and `predict` gather.

        Predictions are logits, or generated tokens with ``predict_with_generate``. Where no term
        needs labels, a batch without them has a loss too.
        """
        generates = self.args.predict_with_generate and not prediction_loss_only  # type: ignore[attr-defined]
        self._keeps_logits = not (prediction_loss_only or generates)
        labelled = any(inputs.get(name) is not None for name in self.label_names)
        asked = any(isinstance(term, TaskTerm) for term in self.objective.terms.values())
        if labelled and not generates:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        inputs = self._prepare_inputs(inputs)
        tokens = self._generate(model, inputs, gen_kwargs) if generates else None
        if asked and not labelled:
            logits = None if generates or prediction_loss_only else self._logits(model, inputs)
            return None, logits if tokens is None else tokens, None
        with torch.no_grad(), self.compute_loss_context_manager():
            loss, outputs = self.compute_loss(model, inputs, return_outputs=True)
        predictions = outputs["logits"] if self._keeps_logits else tokens
        return loss.detach(), predictions, inputs.get("labels")

    def _logits(self, model: nn.Module, inputs: dict[str, Any]) -> Any:
        """The student's logits alone, where the objective cannot be computed without labels."""
        with torch.no_grad(), self.compute_loss_context_manager():
            return getattr(run_model(model, inputs), "logits", None)

    def _generate(self, model: nn.Module, inputs: dict[str, Any], settings: dict[str, Any]) -> Any:
        """Seq2SeqTrainer's generation, which would permanently fill in the student's own config."""
        assert self.model is not None
        target = ("labels", "decoder_input_ids", "decoder_attention_mask")
        source = {name: value for name, value in inputs.items() if name not in target}
        own = copy.deepcopy(self.model.generation_config)
        try:
            return super().prediction_step(model, source, False, **settings)[1]
        finally:
            self.model.generation_config = own

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> EvalLoopOutput:
        """Trainer's loop, with each term's mean over the data set among the metrics."""
        self._eval_tally.clear()
        output = super().evaluation_loop(*args, **kwargs)
        prefix = kwargs.get("metric_key_prefix", "eval")
        means = self._eval_tally.means(self.accelerator)
        terms = {f"{prefix}_loss_{name}": mean for name, mean in means.items()}
        if means:
            # Trainer's own is a mean of batch means, which depends on how rows are batched.
            tensors = {name: torch.tensor(mean) for name, mean in means.items()}
            terms[f"{prefix}_loss"] = float(self.plan.weighted_sum(tensors))
        return output._replace(metrics={**(output.metrics or {}), **terms})

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Trainer's log, with the mean of each term since the last one."""
        if "loss" in logs:
            sums = self._train_tally.sums(self.accelerator)
            means = {name: total / self._train_tally.steps for name, total in sums.items()}
            check_finite_terms(means, f"at step {self.state.global_step}")
            logs |= {f"loss_{name}": mean for name, mean in means.items()}
            self._train_tally.clear()
        super().log(logs, start_time)

    def _count(self, batches: list[dict[str, Tensor]], device: torch.device) -> dict[str, Tensor]:
        counts = {n: count.to(device) for n, count in self.distiller.counts(batches).items()}
        if self.accelerator.num_processes > 1:
            counts = {name: self.accelerator.reduce(count) for name, count in counts.items()}
        return counts

    def _trainable(self) -> list[nn.Parameter]:
        assert self.model is not None
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def _set_signature_columns_if_needed(self) -> None:
        """Keep the columns that only the teacher takes."""
        super()._set_signature_columns_if_needed()
        if self.teacher_model is not None:
            known = {*(self._signature_columns or ()), *forward_columns(self.teacher_model)}
            self._signature_columns = sorted(known)  # type: ignore[assignment]


def _check_devices(args: DistillationArguments) -> None:
    if args.n_gpu > 1:
        raise InputError(
            f"{args.n_gpu} GPUs are visible to one process: Trainer would use nn.DataParallel, "
            "which mixes the attention of its replicas; start with `accelerate launch`, or make "
            "only one GPU visible (CUDA_VISIBLE_DEVICES=0)"
        )


def _check_generation(args: DistillationArguments, student: PreTrainedModel) -> None:
    if args.predict_with_generate and not student.config.is_encoder_decoder:
        raise InputError(
            f"predict_with_generate is for encoder–decoders: {type(student).__name__} would get "
            "the answer as part of its prompt; generate from prompts after training instead"
        )
