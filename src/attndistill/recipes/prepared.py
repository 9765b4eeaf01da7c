"""Teacher and data, ready to teach; students and trainers are made from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from ..capture import depth
from ..errors import InputError
from ..evaluation import Predictions, predict
from ..matching import LayerMap, resolve_layer_map
from ..objectives import TermReading
from ..training import DistillationTrainer
from .arguments import training_arguments
from .data import Data
from .labels import LabelMap
from .models import make_student
from .schema import Recipe
from .teachers import accuracy


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """Teacher and data, ready for any number of students.

    Attributes:
        teacher: the classifier to learn from.
        tokenizer: the teacher's, and the student's.
        labels: the classes.
        data: the tokenised splits.
    """

    teacher: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    labels: LabelMap
    data: Data

    @cached_property
    def teacher_predictions(self) -> Predictions:
        """What the teacher says on the test rows."""
        return predict(
            self.teacher, self.data.test, self.data.collator, description="Teacher on test"
        )

    def first_batch(self, rows: int) -> dict[str, Tensor]:
        """The first training rows as a batch."""
        train = self.data.train
        return self.data.collator([train[row] for row in range(min(rows, len(train)))])

    def notes(self) -> Iterator[str]:
        """What was decided or noticed on the way, for the user."""
        splits = {split: len(table) for split, table in self.data.examples.splits()}
        yield "Data: " + ", ".join(f"{rows} {split} rows" for split, rows in splits.items())
        yield from self.data.examples.notes
        yield "Labels: " + ", ".join(f"{n} {name}" for n, name in enumerate(self.labels.names))
        cut = {split: share for split, share in self.data.truncated.items() if share}
        if cut:
            shares = ", ".join(f"{share:.1%} of {split}" for split, share in cut.items())
            yield f"Texts cut off at max_length: {shares}"


def new_student(recipe: Recipe, prepared: Prepared) -> PreTrainedModel:
    """The recipe's student, the same for the same seed."""
    set_seed(recipe.seed)
    return make_student(recipe, prepared.teacher, prepared.tokenizer, prepared.labels)


def layer_map(recipe: Recipe, student: PreTrainedModel, teacher: PreTrainedModel) -> LayerMap:
    """The recipe's layer map for these models.

    Raises:
        InputError: it does not fit them, or their attention cannot be captured.
    """
    depths = depth(student), depth(teacher)
    try:
        return resolve_layer_map(recipe.layer_map, *depths)
    except InputError as error:
        raise InputError(f"objective.attention.layers: {error}") from error


def make_trainer(
    recipe: Recipe, prepared: Prepared, student: PreTrainedModel, *, checkpoints: Path
) -> DistillationTrainer:
    """The recipe's trainer for this student."""
    settings = {**recipe.training, "seed": recipe.seed}
    return DistillationTrainer(
        student,
        prepared.teacher,
        training_arguments(settings, output_dir=str(checkpoints)),
        objective=recipe.objective,
        layer_map=recipe.layer_map,
        data_collator=prepared.data.collator,
        train_dataset=prepared.data.train,
        eval_dataset=prepared.data.validation,
        processing_class=prepared.tokenizer,
        compute_metrics=accuracy,
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
        return trainer.dry_run(batch)
