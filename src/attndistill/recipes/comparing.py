"""The objective's terms added one after another, over several seeds: which of them pays?"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..choices import one_of
from ..console import say
from ..errors import InputError
from ..report import ArmRun, RunReport, compare_arms, write_report
from .build import new_student
from .config.argument_rules import MOST_SEEDS
from .config.recipe import Recipe
from .folder import ARMS, RunFolder
from .measuring import Distilled
from .prepared import Prepared
from .running import distil
from .setup import prepare


def compare(recipe: Recipe, *, seeds: int, chosen: Sequence[str] = ()) -> RunReport:
    """Train every arm with every seed, and compare them on the same test rows.

    The arms are the chosen ones, or else the recipe's terms in the order task, logits, attention,
    each added to those before: equal data, teacher, student and budget. The full objective with the
    recipe's own seed is the run in the recipe's folder; the others are in
    ``arms/<arm>/seed-<seed>/``. A finished arm is not run again, an unfinished one is resumed.

    Args:
        recipe: the recipe.
        seeds: training seeds per arm, starting at the recipe's own.
        chosen: the arms beside the full objective, each by its terms, as in ``task+logits``; by
            default all those described above.

    Raises:
        InputError: see `run`; a chosen arm has a term that the objective lacks.
    """
    if seeds < 1:
        raise InputError(f"--seeds must be at least 1, not {seeds}")
    if recipe.seed + seeds > MOST_SEEDS:
        raise InputError(
            f"--seeds {seeds} from seed {recipe.seed} goes beyond {MOST_SEEDS - 1}, the highest "
            "seed; lower one of them"
        )
    subsets = _chosen_terms(recipe, chosen)
    folder = RunFolder.of(recipe)
    folder.claim(resume=True)
    prepared = prepare(recipe)
    folder.record()
    for note in prepared.notes():
        say(note)
    runs, full = [], None
    for name, arm in arms(recipe, seeds, subsets):
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
    write_report(report, folder.path)
    return report


def arms(
    recipe: Recipe, seeds: int, subsets: Sequence[Sequence[str]]
) -> Iterator[tuple[str, Recipe]]:
    """Name and recipe of every run, seed by seed; the full objective comes last."""
    for seed in range(recipe.seed, recipe.seed + seeds):
        for terms in subsets:
            arm = replace(recipe.with_terms(terms), seed=seed)
            name = arm_name(arm)
            if len(terms) < len(recipe.terms) or seed != recipe.seed:
                folder = Path(recipe.output_dir, ARMS, name, f"seed-{seed}")
                arm = replace(arm, output_dir=str(folder))
            yield name, arm


def _chosen_terms(recipe: Recipe, chosen: Sequence[str]) -> list[list[str]]:
    """The terms of each arm, in the objective's order."""
    terms = list(recipe.terms)
    if not chosen:
        return [terms[:count] for count in range(1, len(terms) + 1)]
    subsets: list[list[str]] = []
    for arm in chosen:
        names = [one_of(terms, name.strip(), f"--arm {arm}: a term") for name in arm.split("+")]
        subset = [name for name in terms if name in names]
        if subset not in (terms, *subsets):
            subsets.append(subset)
    return [*subsets, terms]


def arm_name(recipe: Recipe) -> str:
    """The arm's terms, as in ``task+logits``."""
    return "+".join(recipe.terms)


def _finished(arm: Recipe, prepared: Prepared) -> Distilled | None:
    folder = RunFolder.of(arm)
    if not (folder.is_finished and folder.holds_this_run):
        return None
    say(f"Finished before: {folder.path}")
    kind = type(new_student(arm, prepared).model)
    try:
        student = kind.from_pretrained(folder.student, use_safetensors=True)
    except Exception as error:  # noqa: BLE001 - whatever a broken file makes of it
        say(f"Its student cannot be loaded ({' '.join(str(error).split())}): it is trained again.")
        return None
    student.to(prepared.teacher.device)  # type: ignore[arg-type]
    assessed = prepared.task.assess(student, prepared.data, teacher=prepared.teacher_assessed)
    return Distilled(report=RunReport.read(folder.path), assessed=assessed)


def _distil_arm(arm: Recipe, prepared: Prepared, is_main: bool) -> Distilled:
    """Costs are the same in every arm; side arms keep no checkpoints once they are done."""
    folder = RunFolder.of(arm)
    folder.claim(resume=True)
    folder.record()
    distilled = distil(arm, prepared, folder, details=is_main)
    if not is_main:
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
    return distilled
