"""The run's folder: claimed before anything is computed, and never another run's."""

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..export import check_replaceable
from ..reading import as_mapping
from ..report import OtherVersionError, RunReport
from ..training import latest_complete_checkpoint, list_checkpoints
from .config.recipe import Recipe
from .config.yaml_file import dump_yaml, read_yaml

RECIPE_FILE = "recipe.yaml"
REPORT_FILE = "report.json"
FAILED_FILE = "failed.txt"
ARMS = "arms"
CHECKPOINTS = "checkpoints"
STUDENT = "student"


def check_output(recipe: Recipe) -> Path:
    """Check, without changing anything, that the run may use its folder.

    A run of another recipe may be followed in its folder by this one where it ended by an error,
    see `marked_if_it_fails`, and left nothing: no report, student or arms, and no checkpoint to
    continue from. One that is still going has no such mark.

    Raises:
        InputError: it cannot be written, or holds another run or other files.
    """
    folder = Path(recipe.output_dir)
    try:
        folder.stat()
    except (FileNotFoundError, NotADirectoryError):
        pass
    except OSError as error:  # a name that is too long, a folder that may not be looked into
        raise _unwritable(folder, error.strerror) from error
    parents = (folder, *folder.absolute().parents)
    existing = next(path for path in parents if os.path.exists(path))
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise _unwritable(folder, f"{existing} is not a folder that you may write to")
    for name in (CHECKPOINTS, STUDENT):
        if (folder / name).exists() and not (folder / name).is_dir():
            raise _unwritable(folder, f"its {name} is no folder")
    for path in list_checkpoints(folder / CHECKPOINTS):
        if not path.is_dir():
            raise _unwritable(folder, f"its {CHECKPOINTS}/{path.name} is no folder")
    check_replaceable(folder / STUDENT)
    if folder.is_dir() and not holds_run_of(recipe, folder) and not _left_nothing(recipe, folder):
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


def passed_over(recipe: Recipe, checkpoint: Path | None) -> list[Path]:
    """The checkpoints newer than the one to continue from: they are not whole."""
    newest_first = list_checkpoints(Path(recipe.output_dir, CHECKPOINTS))
    return newest_first if checkpoint is None else newest_first[: newest_first.index(checkpoint)]


def record_recipe(recipe: Recipe) -> None:
    """Put the resolved recipe into the run's folder: from now on the folder is this run's.

    What another recipe's run, see `check_output`, has left of its checkpoints is removed.
    """
    folder = Path(recipe.output_dir)
    if not holds_run_of(recipe, folder):
        shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    (folder / FAILED_FILE).unlink(missing_ok=True)
    (folder / RECIPE_FILE).write_text(recipe.to_yaml(), encoding="utf-8")


@contextmanager
def marked_if_it_fails(folder: Path) -> Iterator[None]:
    """Leave the reason in the folder where a run ends by an error or is interrupted."""
    try:
        yield
    except BaseException as error:
        with suppress(OSError):
            (folder / FAILED_FILE).write_text(f"{type(error).__name__}: {error}\n", "utf-8")
        raise


def holds_run_of(recipe: Recipe, folder: Path) -> bool:
    """Whether the folder's resolved recipe is this one (wherever the folder is named from)."""
    if not (folder / RECIPE_FILE).is_file():
        return False
    return not any(_differences(_recipe_there(folder), recipe.to_dict()))


def is_finished(folder: Path) -> bool:
    """Whether the run in this folder came to its end (the report is written last) and is whole."""
    try:
        RunReport.read(folder / REPORT_FILE)
    except OtherVersionError:
        pass
    except InputError:
        return False
    return any((folder / STUDENT).glob("*.safetensors"))


def teacher_cache(recipe: Recipe) -> Path:
    """Where fine-tuned teachers are kept: beside the run, for an arm beside its comparison."""
    folder = Path(recipe.output_dir)
    is_arm = folder.parts[-3:-2] == (ARMS,)
    return (folder.parents[3] if is_arm else folder.parent) / "teachers"


def _recipe_there(folder: Path) -> dict[str, Any]:
    try:
        return as_mapping(read_yaml(folder / RECIPE_FILE), "")
    except InputError as error:
        raise InputError(
            f"the output folder {folder} holds a run whose recipe cannot be read ({error}): "
            + _two_ways(folder)
        ) from error


def _two_ways(folder: Path) -> str:
    give_up = f"`rm -r {shlex.quote(str(folder))}`"
    return f"choose another with --output-dir, or give that run up with {give_up}"


def _left_nothing(recipe: Recipe, folder: Path) -> bool:
    """Whether a run that failed has left nothing but its resolved recipe."""
    file, names = folder / RECIPE_FILE, {path.name for path in folder.iterdir()}
    if names - {RECIPE_FILE, CHECKPOINTS, FAILED_FILE} or not {RECIPE_FILE, FAILED_FILE} <= names:
        return False
    # A recipe that a user wrote, perhaps with comments, is not to be overwritten.
    there, text = _recipe_there(folder), file.read_text(encoding="utf-8")
    written_here = text == dump_yaml(there) and list(there) == list(recipe.to_dict())
    return written_here and latest_complete_checkpoint(folder / CHECKPOINTS) is None


def _refuse_foreign(recipe: Recipe, folder: Path) -> None:
    if (folder / RECIPE_FILE).is_file():
        changes = list(_differences(_recipe_there(folder), recipe.to_dict()))
        raise InputError(
            f"the output folder {folder} holds a run of another recipe ({'; '.join(changes[:5])}): "
            + _two_ways(folder)
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
