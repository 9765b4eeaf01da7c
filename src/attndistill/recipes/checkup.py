"""Check a recipe without training: everything is loaded, and one step is computed."""

from collections.abc import Iterator
from functools import partial

from torch import Tensor
from transformers import PreTrainedModel

from ..console import say
from ..measure import attempt
from ..measure.flops import Flops, count_flops
from ..measure.inference import model_inputs
from ..measure.parameters import count_parameters
from .build import dry_step, new_student
from .config.recipe import Recipe
from .folder import RunFolder
from .setup import prepare
from .summary import plan_lines


def doctor(recipe: Recipe) -> None:
    """Load all that the recipe names, print what a run would do, and take one dry step.

    Raises:
        InputError: what is wrong with the recipe, its files or its folder.
        ObjectiveError: a term of the objective would teach nothing.
    """
    RunFolder.of(recipe).check()
    prepared = prepare(recipe, train_teacher=False)
    for note in prepared.notes():
        say(note)
    student = new_student(recipe, prepared)
    for line in plan_lines(recipe, prepared.teacher, student):
        say(line)
    if recipe.teacher.train is not None:
        say("The teacher is shown before its fine-tuning, which a run does first.")
    batch = prepared.first_batch(recipe.training["per_device_train_batch_size"])
    # Before the dry step, which adds the adapters of a student trained with them.
    for line in _size_lines(prepared.teacher, student.model, batch):
        say(line)
    readings = dry_step(recipe, prepared, student.model, batch)
    say("One dry step, per term: value, weight, gradient norm")
    for name, reading in readings.items():
        say(f"  {name}: {reading.value:.4g}, {reading.weight:g}, {reading.gradient_norm:.4g}")
    say("ready")


def _size_lines(
    teacher: PreTrainedModel, student: PreTrainedModel, batch: dict[str, Tensor]
) -> Iterator[str]:
    device = student.device
    inputs = {name: tensor.to(device) for name, tensor in batch.items()}
    models = {"Teacher": teacher, "Student": student}
    teacher.to(device)  # type: ignore[arg-type]
    missing: dict[str, str] = {}
    flops = {
        name: attempt(name, partial(count_flops, model, model_inputs(model, inputs)), missing)
        for name, model in models.items()
    }
    for name, model in models.items():
        size = count_parameters(model)
        yield (
            f"{name}: {size.total / 1e6:.2f}M parameters ({size.embedding / 1e6:.2f}M of them "
            f"embeddings), {_in_layers(flops[name], missing.get(name))}"
        )
    if (of_student := flops["Student"]) and (of_teacher := flops["Teacher"]):
        share = of_student.layers / of_teacher.layers
        yield f"The student's layers take {share:.1%} of the teacher's FLOPs"


def _in_layers(flops: Flops | None, reason: str | None) -> str:
    if flops is None:
        return f"FLOPs not counted: {reason}"
    return f"{flops.layers / 1e6:.1f} MFLOPs per example in its layers"
