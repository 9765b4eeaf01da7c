"""What every command needs first: the examples, and a teacher to learn from."""

import os
from dataclasses import replace

import torch
from datasets import IterableDataset
from transformers import PreTrainedModel, set_seed

from ..errors import InputError, ObjectiveError
from ..tasks import Task
from .build import check_attention, dry_step, new_student
from .config.recipe import Recipe
from .data.splits import encode, load_examples
from .folder import RunFolder
from .models.loading import load_config, load_model, load_processor
from .models.teachers import fine_tuned
from .models.tokenizers import check_vocabulary
from .prepared import Prepared


def prepare(recipe: Recipe, *, train_teacher: bool = True) -> Prepared:
    """Load data and teacher, check that everything fits, and fine-tune the teacher if asked.

    Args:
        recipe: the recipe.
        train_teacher: False leaves a teacher that needs fine-tuning as it is (for `doctor`).

    Raises:
        InputError: whatever is wrong with the recipe's data and models; before any training.
    """
    _check_one_process()
    name, trust = recipe.teacher.model, recipe.trust_remote_code
    examples = load_examples(recipe.data, recipe.task)
    config = load_config(name, "teacher.model", trust_remote_code=trust)
    task = recipe.task.fitted(config)
    processor = load_processor(name, "teacher.model", task=task, trust_remote_code=trust)
    training = recipe.teacher.train
    train = examples.train
    known = examples.validation if isinstance(train, IterableDataset) else train
    labels = task.labels(known, config, trained=training is not None)
    # Seeds the fresh head of a teacher to be fine-tuned.
    set_seed(recipe.seed if training is None else training["seed"])
    teacher = load_model(
        name,
        "teacher.model",
        task=task,
        labels=labels,
        fresh_head=training is not None,
        trust_remote_code=trust,
    )
    check_vocabulary(processor, teacher, "teacher.model")
    _check_length(task, teacher)
    check_attention(teacher, "teacher.model")
    data = encode(examples, task, labels, processor, teacher)
    prepared = Prepared(task=task, teacher=teacher, examples=examples, data=data)
    _check_student(recipe, prepared)
    if training is not None and train_teacher:
        kept = RunFolder.of(recipe).teachers
        teacher = fine_tuned(teacher, training, task=task, data=data, cache=kept)
    return replace(prepared, teacher=teacher.eval())


def _check_one_process() -> None:
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError(
            "recipes run in one process, and this is one of several; for training on several "
            "devices use attndistill.DistillationTrainer in a script of your own"
        )


def _check_student(recipe: Recipe, prepared: Prepared) -> None:
    """Fail on a student that does not fit now, not after the teacher's fine-tuning."""
    student = new_student(recipe, prepared).model
    check_vocabulary(prepared.data.processor, student, "student")
    _check_length(prepared.task, student)
    try:
        dry_step(recipe, prepared, student, prepared.longest_batch())
    except (InputError, ObjectiveError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - whatever a model or optimizer trips over
        reason = " ".join(str(error).split())[:400]
        raise InputError(
            "a first step with the longest rows fails; is there something wrong in student, "
            f"objective, training or data.max_length? {type(error).__name__}: {reason}"
        ) from error


def _check_length(task: Task, model: PreTrainedModel) -> None:
    longest = getattr(model.config, "max_position_embeddings", None)
    if isinstance(longest, int) and task.positions is not None and 0 < longest < task.positions:
        raise InputError(
            f"a row takes up to {task.positions} tokens, but {type(model).__name__} takes at most "
            f"{longest} tokens: lower data.max_length"
        )
