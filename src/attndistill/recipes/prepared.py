"""Teacher and data, ready to teach; students and trainers are made from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from datasets import Dataset, IterableDataset
from torch import Tensor
from transformers import PreTrainedModel, set_seed
from transformers.trainer_utils import has_length

from ..capture import attention_layers, skipped_parts
from ..errors import InputError
from ..matching import GroupMatch, match_layers
from ..metrics import Assessment
from ..objectives import TermReading
from ..tasks import Data, Task
from ..training import DistillationTrainer
from .adapters import lora_config
from .arguments import early_stopping, training_arguments
from .data import Examples
from .models import make_student
from .schema import Recipe

SOME_STEPS = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """Teacher and data, ready for any number of students.

    Attributes:
        task: what they are for.
        teacher: the model to learn from.
        examples: the splits as read.
        data: the splits encoded.
    """

    task: Task
    teacher: PreTrainedModel
    examples: Examples
    data: Data

    @cached_property
    def teacher_assessed(self) -> Assessment:
        """What the teacher does on the test rows."""
        return self.task.assess(self.teacher, self.data, description="Teacher on test")

    def first_batch(self, rows: int) -> dict[str, Tensor]:
        """The first training rows as a batch."""
        return self.data.collator(list(islice(self.data.train.rows, rows)))

    def longest_batch(self) -> dict[str, Tensor]:
        """The first training row and the longest of each split: what fits them, fits the rest."""
        longest = [row for split in self.data.splits().values() for row in _longest(split.rows)]
        return self.data.collator([*islice(self.data.train.rows, 1), *longest])

    def notes(self) -> Iterator[str]:
        """What was decided or noticed on the way, for the user."""
        tables = dict(self.examples.splits())
        yield "Data: " + ", ".join(
            f"a stream of {split} rows"
            if isinstance(table, IterableDataset)
            else f"{len(table)} {split} rows"
            for split, table in tables.items()
        )
        yield from self.remarks()
        if self.data.labels is not None:
            names = enumerate(self.data.labels.names)
            yield "Labels: " + ", ".join(f"{number} {name}" for number, name in names)
        cut = {split: part.truncated for split, part in self.data.splits().items()}
        if any(cut.values()):
            shares = ", ".join(f"{share:.1%} of {split}" for split, share in cut.items() if share)
            yield f"Texts cut off at max_length: {shares}"

    def remarks(self) -> Iterator[str]:
        """What the reader of a report should know of the data."""
        yield from self.examples.notes
        for split in self.data.splits().values():
            yield from split.notes
        captured = [layer.name for layer in attention_layers(self.teacher)]
        yield from skipped_parts(self.teacher, captured)
        for name in ("metric", "collate"):
            if (own := getattr(self.task, name)) is not None:
                yield f"The {name} is the caller's own: {getattr(own, '__name__', own)}."
        if self.data.labels is not None and self.data.labels.note:
            yield self.data.labels.note


def _longest(rows: Dataset | IterableDataset) -> Iterator[dict[str, Any]]:
    """The longest row; none of a stream, whose rows are not known, or of images, all of a size."""
    if isinstance(rows, Dataset) and "input_ids" in rows.column_names:
        lengths = [len(ids) for ids in rows["input_ids"]]
        yield rows[lengths.index(max(lengths))]


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
    for name, term in recipe.objective.layerwise_terms.items():
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
