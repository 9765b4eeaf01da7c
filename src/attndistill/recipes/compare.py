"""The objective's terms added one after another, over several seeds: which of them pays?"""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ..errors import InputError
from ..evaluation import ArmRun, RunReport, compare_arms, write_report
from .arguments import MOST_SEEDS
from .console import say
from .measure import Distilled
from .output import (
    ARMS,
    CHECKPOINTS,
    STUDENT,
    claim_output,
    holds_run_of,
    is_finished,
    record_recipe,
)
from .preparation import prepare
from .prepared import Prepared, new_student
from .run import distil
from .schema import Recipe


def compare(recipe: Recipe, *, seeds: int) -> RunReport:
    """Train every arm with every seed, and compare them on the same test rows.

    The arms are the recipe's terms in the order task, logits, attention, each added to those
    before: equal data, teacher, student and budget. The full objective with the recipe's own seed
    is the run in the recipe's folder; the others are in ``arms/<arm>/seed-<seed>/``. A finished
    arm is not run again, an unfinished one is resumed.

    Raises:
        InputError: see `run`.
    """
    if seeds < 1:
        raise InputError(f"--seeds must be at least 1, not {seeds}")
    if recipe.seed + seeds > MOST_SEEDS:
        raise InputError(
            f"--seeds {seeds} from seed {recipe.seed} on goes beyond {MOST_SEEDS - 1}, the last one"
        )
    claim_output(recipe, resume=True)
    prepared = prepare(recipe)
    record_recipe(recipe)
    for note in prepared.notes():
        say(note)
    runs, full = [], None
    for name, arm in arms(recipe, seeds):
        say(f"\nArm {name}, seed {arm.seed}")
        is_main = arm.output_dir == recipe.output_dir
        distilled = _finished(arm, prepared) or _distil_arm(arm, prepared, is_main)
        runs.append(
            ArmRun(
                name=name,
                seed=arm.seed,
                terms=tuple(arm.terms),
                training_seconds=distilled.report.training.seconds,
                assessed=distilled.assessed,
            )
        )
        if is_main:
            full = distilled.report
    assert full is not None, "the full objective with the recipe's seed is one of the arms"
    comparison = compare_arms(runs, teacher=prepared.teacher_assessed, reference=arm_name(recipe))
    report = replace(full, comparison=comparison)
    write_report(report, recipe.output_dir)
    return report


def arms(recipe: Recipe, seeds: int) -> Iterator[tuple[str, Recipe]]:
    """Name and recipe of every run, seed by seed."""
    terms = list(recipe.terms)
    for seed in range(recipe.seed, recipe.seed + seeds):
        for count in range(1, len(terms) + 1):
            arm = replace(recipe.with_terms(terms[:count]), seed=seed)
            name = arm_name(arm)
            if count < len(terms) or seed != recipe.seed:
                folder = Path(recipe.output_dir, ARMS, name, f"seed-{seed}")
                arm = replace(arm, output_dir=str(folder))
            yield name, arm


def arm_name(recipe: Recipe) -> str:
    """The arm's terms, as in ``task+logits``."""
    return "+".join(recipe.terms)


def _finished(arm: Recipe, prepared: Prepared) -> Distilled | None:
    folder = Path(arm.output_dir)
    if not (is_finished(folder) and holds_run_of(arm, folder)):
        return None
    say(f"Finished before: {folder}")
    kind = type(new_student(arm, prepared))
    student = kind.from_pretrained(folder / STUDENT, use_safetensors=True)
    student.to(prepared.teacher.device)  # type: ignore[arg-type]
    assessed = prepared.task.assess(student, prepared.data, teacher=prepared.teacher_assessed)
    return Distilled(report=RunReport.read(folder), assessed=assessed)


def _distil_arm(arm: Recipe, prepared: Prepared, is_main: bool) -> Distilled:
    """Costs are the same in every arm; side arms keep no checkpoints once they are done."""
    checkpoint = claim_output(arm, resume=True)
    record_recipe(arm)
    distilled = distil(arm, prepared, checkpoint, details=is_main)
    if not is_main:
        shutil.rmtree(Path(arm.output_dir, CHECKPOINTS), ignore_errors=True)
    return distilled
