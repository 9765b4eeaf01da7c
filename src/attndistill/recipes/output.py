"""The run's folder: claimed before anything is computed, and never another run's."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..training import latest_complete_checkpoint
from .schema import Recipe
from .yaml_file import read_yaml

RECIPE_FILE = "recipe.yaml"
REPORT_FILE = "report.json"
ARMS = "arms"
CHECKPOINTS = "checkpoints"
STUDENT = "student"


def check_output(recipe: Recipe) -> Path:
    """Check, without changing anything, that the run may use its folder.

    Raises:
        InputError: it cannot be written, or holds another run or other files.
    """
    folder = Path(recipe.output_dir)
    # Path.exists raises on a name that is too long.
    parents = (folder, *folder.absolute().parents)
    existing = next(path for path in parents if os.path.exists(path))
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise _unwritable(folder, f"{existing} is not a folder that you may write to")
    for name in (CHECKPOINTS, STUDENT):
        if (folder / name).exists() and not (folder / name).is_dir():
            raise _unwritable(folder, f"its {name} is no folder")
    if folder.is_dir() and not holds_run_of(recipe, folder):
        _refuse_foreign(recipe, folder)
    return folder


def claim_output(recipe: Recipe, *, resume: bool = False) -> Path | None:
    """Take the folder for this run; `record_recipe` follows once the recipe has proved right.

    Args:
        recipe: the recipe.
        resume: continue a run of the same resolved recipe that is there.

    Returns:
        The checkpoint to continue from, if any.

    Raises:
        InputError: see `check_output`; or the folder holds this run already, finished or begun,
            and ``resume`` is False.
    """
    folder = check_output(recipe)
    checkpoint = latest_complete_checkpoint(folder / CHECKPOINTS)
    if not resume and (checkpoint or is_finished(folder)):
        state = "a finished run" if is_finished(folder) else "an unfinished run"
        raise InputError(
            f"the output folder {folder} holds {state} of this recipe: continue it with --resume, "
            "or choose another with --output-dir"
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(folder, error.strerror) from error
    return checkpoint


def record_recipe(recipe: Recipe) -> None:
    """Put the resolved recipe into the run's folder: from now on the folder is this run's."""
    Path(recipe.output_dir, RECIPE_FILE).write_text(recipe.to_yaml(), encoding="utf-8")


def holds_run_of(recipe: Recipe, folder: Path) -> bool:
    """Whether the folder's resolved recipe is this one (wherever the folder is named from)."""
    file = folder / RECIPE_FILE
    return file.is_file() and not any(_differences(read_yaml(file), recipe.to_dict()))


def is_finished(folder: Path) -> bool:
    """Whether the run in this folder came to its end (the report is written last) and is whole."""
    return (folder / REPORT_FILE).is_file() and (folder / STUDENT).is_dir()


def teacher_cache(recipe: Recipe) -> Path:
    """Where fine-tuned teachers are kept: beside the run, for an arm beside its comparison."""
    folder = Path(recipe.output_dir)
    is_arm = folder.parts[-3:-2] == (ARMS,)
    return (folder.parents[3] if is_arm else folder.parent) / "teachers"


def _refuse_foreign(recipe: Recipe, folder: Path) -> None:
    if (folder / RECIPE_FILE).is_file():
        changes = list(_differences(read_yaml(folder / RECIPE_FILE), recipe.to_dict()))
        raise InputError(
            f"the output folder {folder} holds a run of another recipe ({'; '.join(changes[:5])}); "
            "choose another with --output-dir, or move that run away"
        )
    if any(folder.iterdir()):
        raise InputError(
            f"the output folder {folder} holds files that are not a run of this recipe: choose an "
            "empty or new one with --output-dir"
        )


def _differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """Where two resolved recipes differ, output folder aside."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys([*old, *new]):
            inner = f"{path}.{key}" if path else str(key)
            if inner != "output_dir":
                yield from _differences(old.get(key), new.get(key), inner)
    elif old != new:
        yield f"{path} is {old!r} there, {new!r} here"


def _unwritable(folder: Path, reason: str | None) -> InputError:
    return InputError(
        f"the output folder {folder} cannot be written ({reason}): choose another with --output-dir"
    )
