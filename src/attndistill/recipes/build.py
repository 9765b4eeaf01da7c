"""Students and trainers, made from a recipe and what has been prepared for it."""

from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor
from transformers import PreTrainedModel, set_seed
from transformers.trainer_utils import has_length

from ..capture import attention_layers
from ..errors import InputError
from ..matching import GroupMatch, match_layers
from ..objectives import LayerwiseTerm, TermReading
from ..training import DistillationTrainer
from .config.recipe import Recipe
from .config.training import early_stopping, training_arguments
from .models.adapters import lora_config
from .models.loading import make_student
from .prepared import Prepared

SOME_STEPS = 1000


def new_student(recipe: Recipe, prepared: Prepared) -> PreTrainedModel:
    """The recipe's student, the same for the same seed."""
    set_seed(recipe.seed)
    return make_student(recipe, prepared.teacher, prepared.data.processor, prepared.data.labels)


def matches(
    recipe: Recipe, student: PreTrainedModel, teacher: PreTrainedModel
) -> dict[str, GroupMatch]:
    """Which layers the terms on attention pair in these models, by the term's name.

    Raises:
        InputError: a term does not fit them, or their attention cannot be captured.
    """
    found = {}
    for name, term in recipe.terms.items():
        if not isinstance(term, LayerwiseTerm):
            continue
        try:
            found[name] = term.fitted(student, teacher, "uniform").match
        except InputError as error:
            raise InputError(f"objective.{name}: {error}") from error
    return found


def measured(
    recipe: Recipe, student: PreTrainedModel, teacher: PreTrainedModel
) -> list[GroupMatch]:
    """The layers whose attention the report compares: those of the terms, each once.

    Without such a term all groups of layers that both models have, paired uniformly.
    """
    of_terms = list(dict.fromkeys(matches(recipe, student, teacher).values()))
    if of_terms:
        return of_terms
    groups = {(layer.stack, layer.kind) for layer in attention_layers(student)}
    shared = sorted(groups & {(layer.stack, layer.kind) for layer in attention_layers(teacher)})
    return [
        match_layers(student, teacher, stack=stack, cross=kind == "cross") for stack, kind in shared
    ]


def make_trainer(
    recipe: Recipe, prepared: Prepared, student: PreTrainedModel, *, checkpoints: Path
) -> DistillationTrainer:
    """The recipe's trainer for this student."""
    settings = {**recipe.training, "seed": recipe.seed}
    task, data = prepared.task, prepared.data
    return DistillationTrainer(
        student,
        prepared.teacher,
        training_arguments(settings, output_dir=str(checkpoints)),
        objective=recipe.objective,
        data_collator=data.collator,
        train_dataset=data.train.rows,
        eval_dataset=data.validation.rows,
        processing_class=data.processor,
        compute_metrics=task.compute_metrics(data),
        preprocess_logits_for_metrics=task.preprocess_logits(),
        callbacks=early_stopping(settings),
        peft_config=lora_config(recipe.student, student),
    )


def dry_step(
    recipe: Recipe, prepared: Prepared, student: PreTrainedModel, batch: dict[str, Tensor]
) -> dict[str, TermReading]:
    """Value and gradient of every term on a batch; nothing is updated or written.

    Raises:
        InputError: teacher and student do not fit together, for instance in their heads.
        ObjectiveError: a term teaches nothing.
    """
    with TemporaryDirectory() as scratch:
        trainer = make_trainer(recipe, prepared, student, checkpoints=Path(scratch))
        batches = trainer.get_train_dataloader()
        if has_length(batches) and not len(batches):
            raise InputError(
                "the training rows make no whole batch: lower "
                "training.per_device_train_batch_size, or remove dataloader_drop_last"
            )
        # Optional optimizers and a scheduler's own arguments are looked up here only.
        trainer.create_optimizer_and_scheduler(num_training_steps=SOME_STEPS)
        return trainer.dry_run(batch)
