"""Students and trainers, made from a recipe and its prepared teacher and data."""

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True, kw_only=True, eq=False)
class Student:
    """A recipe's student, and the layers that its terms pair with the teacher's.

    Attributes:
        model: the student itself.
        matches: which layers the terms on attention pair in these models, by the term's name.
    """

    model: PreTrainedModel
    matches: Mapping[str, GroupMatch]

    def compared_layers(self, teacher: PreTrainedModel) -> list[GroupMatch]:
        """The layers whose attention the report compares: those of the terms, each once.

        Without such a term: all groups of layers that both models have, paired uniformly.
        """
        if self.matches:
            return list(dict.fromkeys(self.matches.values()))
        own, theirs = (
            {(layer.stack, layer.kind) for layer in attention_layers(model)}
            for model in (self.model, teacher)
        )
        return [
            match_layers(self.model, teacher, stack=stack, cross=kind == "cross")
            for stack, kind in sorted(own & theirs)
        ]


def new_student(recipe: Recipe, prepared: Prepared) -> Student:
    """The recipe's student, the same for the same seed.

    Raises:
        InputError: it cannot be built, a term does not fit it and the teacher, or their attention
            cannot be captured.
    """
    set_seed(recipe.seed)
    teacher, data = prepared.teacher, prepared.data
    model = make_student(recipe, teacher, data.processor, data.labels)
    check_attention(model, "student")
    matches = {}
    for name, term in recipe.terms.items():
        if not isinstance(term, LayerwiseTerm):
            continue
        try:
            matches[name] = term.fitted(model, teacher, "uniform").match
        except InputError as error:
            raise InputError(f"objective.{name}: {error}") from error
    return Student(model=model, matches=matches)


def check_attention(model: PreTrainedModel, path: str) -> None:
    """Fail on a model whose attention cannot be compared, even if no term compares it.

    Raises:
        InputError: after the model's dotted path in the recipe, the reason.
    """
    try:
        attention_layers(model)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


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
                "the training rows do not fill one batch: lower "
                "training.per_device_train_batch_size, or remove dataloader_drop_last"
            )
        # Only here are optional optimizers and a scheduler's own arguments looked up.
        trainer.create_optimizer_and_scheduler(num_training_steps=SOME_STEPS)
        return trainer.dry_run(batch)
