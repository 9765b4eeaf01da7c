"""The main path: a recipe becomes a trained, saved and measured student."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from transformers import PreTrainedModel

from ..console import say
from ..errors import ObjectiveError
from ..export import save_student
from ..report import RunReport, write_report
from ..training import DistillationTrainer
from .build import make_trainer, new_student
from .config.recipe import Recipe
from .config.training import early_stopping
from .folder import RunFolder
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
        resume: continue from the newest complete checkpoint there; for a finished run, only the
            report is written again.

    Raises:
        InputError: something in the recipe, its files or its folder is wrong; before any training.
        ObjectiveError: a term of the objective teaches nothing, or diverged.
    """
    folder = RunFolder.of(recipe)
    folder.claim(resume=resume)
    if folder.is_finished:
        say(f"Finished before: {folder.path}")
        report = RunReport.read(folder.path)
        write_report(report, folder.path)
        return report
    if resume and folder.checkpoint is None:
        say("There is no checkpoint to resume from: the run starts from the beginning.")
    for broken in folder.passed_over:
        say(f"{broken.name} is incomplete, or its weights have diverged: skipped.")
    prepared = prepare(recipe)
    folder.record()
    for note in prepared.notes():
        say(note)
    return distil(recipe, prepared, folder).report


def distil(
    recipe: Recipe, prepared: Prepared, folder: RunFolder, *, details: bool = True
) -> Distilled:
    """Train one student, save it, measure it and write its report.

    Args:
        recipe: the recipe.
        prepared: its teacher and data.
        folder: its folder, claimed; with the checkpoint to continue from, if any.
        details: also measure costs and show attention on a sentence.
    """
    with folder.marked_if_it_fails():
        return _distil(recipe, prepared, folder, details)


def _distil(recipe: Recipe, prepared: Prepared, folder: RunFolder, details: bool) -> Distilled:
    student = new_student(recipe, prepared)
    for line in plan_lines(recipe, prepared.teacher, student):
        say(line)
    trainer = make_trainer(recipe, prepared, student.model, checkpoints=folder.checkpoints)
    checkpoint = str(folder.checkpoint) if folder.checkpoint else None
    trained = trainer.train(resume_from_checkpoint=checkpoint)
    assert trainer.model is not None, "it was given one"
    parameters = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    student = replace(student, model=merged(trainer.model))
    _check_weights(student.model)
    save_student(student.model, prepared.data.processor, folder.student)
    distilled = measure(
        recipe,
        prepared,
        student,
        trainer,
        saved=folder.student,
        seconds=trained.metrics["train_runtime"],
        trained_parameters=parameters,
        notes=tuple(_remarks(recipe, trainer, folder.checkpoint)),
        details=details,
    )
    write_report(distilled.report, folder.path)
    say(f"Student: {folder.student}   Report: {folder.path / 'report.html'}")
    return distilled


def _remarks(
    recipe: Recipe, trainer: DistillationTrainer, checkpoint: Path | None
) -> Iterator[str]:
    """What the reader of a report should know about the training."""
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
    """Save nothing that diverged: terms are checked only when they are logged, not every step."""
    for name, parameter in student.named_parameters():
        if not parameter.isfinite().all():
            raise ObjectiveError(
                f"the student diverged: its {name} is not finite after training; nothing was "
                "saved: lower training.learning_rate, or set training.max_grad_norm"
            )
