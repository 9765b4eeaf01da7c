"""The main path: a recipe becomes a trained, saved and measured student."""

from collections.abc import Iterator
from pathlib import Path

from transformers import PreTrainedModel

from ..console import say
from ..errors import ObjectiveError
from ..export import save_student
from ..report import RunReport, write_report
from ..training import DistillationTrainer
from .build import make_trainer, matches, new_student
from .config.recipe import Recipe
from .config.training import early_stopping
from .folder import (
    CHECKPOINTS,
    STUDENT,
    claim_output,
    is_finished,
    marked_if_it_fails,
    passed_over,
    record_recipe,
)
from .measuring import Distilled, measure
from .models.adapters import merged
from .prepared import Prepared
from .setup import prepare
from .summary import plan_lines


def run(recipe: Recipe, *, resume: bool = False) -> RunReport:
    """Distil a student as the recipe says, and write the run's folder.

    Args:
        recipe: the recipe; its ``output_dir`` receives ``student/``, ``report.json``,
            ``report.html`` and the resolved ``recipe.yaml``.
        resume: continue from the newest whole checkpoint there; of a
            finished run only the report is written again.

    Raises:
        InputError: something in the recipe, its files or its folder is wrong; before any training.
        ObjectiveError: a term of the objective teaches nothing, or diverged.
    """
    checkpoint = claim_output(recipe, resume=resume)
    if is_finished(Path(recipe.output_dir)):
        say(f"Finished before: {recipe.output_dir}")
        report = RunReport.read(recipe.output_dir)
        write_report(report, recipe.output_dir)
        return report
    if resume and checkpoint is None:
        say("There is no checkpoint to resume from: the run starts from the beginning.")
    for broken in passed_over(recipe, checkpoint):
        say(f"{broken.name} was not written to its end, or its weights have diverged: passed over.")
    prepared = prepare(recipe)
    record_recipe(recipe)
    for note in prepared.notes():
        say(note)
    return distil(recipe, prepared, checkpoint).report


def distil(
    recipe: Recipe, prepared: Prepared, checkpoint: Path | None, *, details: bool = True
) -> Distilled:
    """Train one student, save it, measure it and write its report.

    Args:
        recipe: the recipe, its folder claimed.
        prepared: its teacher and data.
        checkpoint: where to continue.
        details: measure costs and show attention on a sentence too.
    """
    with marked_if_it_fails(Path(recipe.output_dir)):
        return _distil(recipe, prepared, checkpoint, details)


def _distil(
    recipe: Recipe, prepared: Prepared, checkpoint: Path | None, details: bool
) -> Distilled:
    folder = Path(recipe.output_dir)
    student = new_student(recipe, prepared)
    found = matches(recipe, student, prepared.teacher)
    for line in plan_lines(recipe, prepared.teacher, student, found):
        say(line)
    trainer = make_trainer(recipe, prepared, student, checkpoints=folder / CHECKPOINTS)
    trained = trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    assert trainer.model is not None, "it was given one"
    parameters = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    student = merged(trainer.model)
    _check_weights(student)
    save_student(student, prepared.data.processor, folder / STUDENT)
    distilled = measure(
        recipe,
        prepared,
        student,
        trainer,
        seconds=trained.metrics["train_runtime"],
        trained_parameters=parameters,
        notes=tuple(_remarks(recipe, trainer, checkpoint)),
        details=details,
    )
    write_report(distilled.report, folder)
    say(f"Student: {folder / STUDENT}   Report: {folder / 'report.html'}")
    return distilled


def _remarks(
    recipe: Recipe, trainer: DistillationTrainer, checkpoint: Path | None
) -> Iterator[str]:
    """What the reader of a report should know of the training."""
    if checkpoint:
        yield f"Resumed from {checkpoint.name}: the training time counts from there."
    settings, state = recipe.training, trainer.state
    if early_stopping(settings) and state.global_step < state.max_steps:
        yield (
            f"Training stopped after {state.global_step} of {state.max_steps} steps: no better "
            f"{settings['metric_for_best_model']} in {settings['early_stopping_patience']} "
            "evaluations in a row."
        )


def _check_weights(student: PreTrainedModel) -> None:
    """Save nothing that diverged: the terms are looked at where they are logged, not every step."""
    for name, parameter in student.named_parameters():
        if not parameter.isfinite().all():
            raise ObjectiveError(
                f"the student diverged: its {name} is not finite after training; nothing was "
                "saved: lower training.learning_rate, or set training.max_grad_norm"
            )
