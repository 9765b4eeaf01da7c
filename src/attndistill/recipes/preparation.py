"""What every command needs first: the examples, and the teacher ready to teach."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerBase, set_seed

from ..capture import attention_layers
from ..errors import InputError
from ..evaluation import Predictions, predict
from ..matching import LayerMap, resolve_layer_map
from .data import Data, load_examples, tokenise
from .labels import LabelMap, labels_of_data, labels_of_teacher
from .models import label_names, load_classifier, load_config, load_tokenizer, make_student
from .schema import Recipe
from .teachers import fine_tuned


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


def prepare(recipe: Recipe, *, train_teacher: bool = True) -> Prepared:
    """Load data and teacher, check that all fits together, and fine-tune the teacher if asked.

    Args:
        recipe: the recipe.
        train_teacher: False leaves a teacher that needs fine-tuning as it is (for a check).

    Raises:
        InputError: whatever is wrong with the recipe's data and models; before any training.
    """
    name, trust = recipe.teacher.model, recipe.trust_remote_code
    examples = load_examples(recipe.data)
    config = load_config(name, "teacher.model", trust_remote_code=trust)
    tokenizer = load_tokenizer(name, "teacher.model", trust_remote_code=trust)
    training = recipe.teacher.train
    match_labels = labels_of_teacher if training is None else labels_of_data
    labels = match_labels(examples.train, label_names(config))
    data = tokenise(examples, labels, tokenizer, recipe.data.max_length)
    # The fresh classification head of a teacher to be fine-tuned is drawn here.
    set_seed(recipe.seed if training is None else training["seed"])
    teacher = load_classifier(
        name,
        "teacher.model",
        labels=labels,
        fresh_head=training is not None,
        trust_remote_code=trust,
    )
    _check_length(recipe.data.max_length, teacher)
    prepared = Prepared(teacher=teacher, tokenizer=tokenizer, labels=labels, data=data)
    _check_student(recipe, prepared)
    if training is not None and train_teacher:
        cache = Path(recipe.output_dir).parent / "teachers"
        teacher = fine_tuned(teacher, training, data=data, tokenizer=tokenizer, cache=cache)
    return replace(prepared, teacher=teacher.eval())


def new_student(recipe: Recipe, prepared: Prepared) -> PreTrainedModel:
    """The recipe's student, the same for the same seed."""
    set_seed(recipe.seed)
    return make_student(recipe, prepared.teacher, prepared.tokenizer, prepared.labels)


def layer_map(recipe: Recipe, student: PreTrainedModel, teacher: PreTrainedModel) -> LayerMap:
    """The recipe's layer map for these models.

    Raises:
        InputError: it does not fit them, or their attention cannot be captured.
    """
    depths = [len(attention_layers(model)) for model in (student, teacher)]
    try:
        return resolve_layer_map(recipe.layer_map, *depths)
    except InputError as error:
        raise InputError(f"objective.attention.layers: {error}") from error


def _check_student(recipe: Recipe, prepared: Prepared) -> None:
    """Fail on a wrong student or layer map now, not after the teacher's fine-tuning."""
    student = new_student(recipe, prepared)
    _check_length(recipe.data.max_length, student)
    layer_map(recipe, student, prepared.teacher)


def _check_length(max_length: int, model: PreTrainedModel) -> None:
    longest = getattr(model.config, "max_position_embeddings", None)
    if isinstance(longest, int) and 0 < longest < max_length:
        raise InputError(
            f"data.max_length is {max_length}, but {type(model).__name__} takes at most {longest} "
            "tokens: lower data.max_length"
        )
