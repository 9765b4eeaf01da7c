"""The main path: a recipe becomes a trained, saved and measured student."""

from pathlib import Path

from transformers import PreTrainedModel

from ..evaluation import RunReport
from ..export import save_student
from ..training import DistillationTrainer
from .arguments import training_arguments
from .console import say
from .measure import Distilled, measure
from .output import CHECKPOINTS, STUDENT, claim_output
from .plan import plan_lines
from .preparation import Prepared, layer_map, new_student, prepare
from .schema import Recipe
from .teachers import accuracy


def run(recipe: Recipe, *, resume: bool = False) -> RunReport:
    """Distil a student as the recipe says, and write the run's folder.

    Args:
        recipe: the recipe; its ``output_dir`` receives ``student/``, ``report.json``,
            ``report.html`` and the resolved ``recipe.yaml``.
        resume: continue from the newest whole checkpoint there.

    Raises:
        InputError: something in the recipe, its files or its folder is wrong; before any training.
        ObjectiveError: a term of the objective teaches nothing, or diverged.
    """
    checkpoint = claim_output(recipe, resume=resume)
    if resume and checkpoint is None:
        say("There is no checkpoint to resume from: the run starts from the beginning.")
    prepared = prepare(recipe)
    for note in prepared.notes():
        say(note)
    return distil(recipe, prepared, checkpoint).report


def distil(
    recipe: Recipe, prepared: Prepared, checkpoint: Path | None, *, costs: bool = True
) -> Distilled:
    """Train one student, save it, measure it and write its report.

    Args:
        recipe: the recipe, its folder claimed.
        prepared: its teacher and data.
        checkpoint: where to continue.
        costs: measure parameters, latency, FLOPs, memory and energy too.
    """
    folder = Path(recipe.output_dir)
    student = new_student(recipe, prepared)
    trainer = make_trainer(recipe, prepared, student, checkpoints=folder / CHECKPOINTS)
    resumed = checkpoint and f"Resumed from {checkpoint.name}: the training time counts from there."
    trained = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    save_student(student, prepared.tokenizer, folder / STUDENT)
    distilled = measure(
        recipe,
        prepared,
        student,
        trainer,
        seconds=trained.metrics["train_runtime"],
        notes=(resumed,) if resumed else (),
        costs=costs,
    )
    distilled.report.write(folder)
    say(f"Student: {folder / STUDENT}   Report: {folder / 'report.html'}")
    return distilled


def make_trainer(
    recipe: Recipe, prepared: Prepared, student: PreTrainedModel, *, checkpoints: Path
) -> DistillationTrainer:
    """The recipe's trainer for this student, its plan printed."""
    pairs = layer_map(recipe, student, prepared.teacher)
    for line in plan_lines(recipe, prepared.teacher, student, pairs):
        say(line)
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
