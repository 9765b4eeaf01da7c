"""The run's folder: claimed before anything is computed, and never another run's."""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import InputError
from .schema import Recipe
from .yaml_file import read_yaml

RECIPE_FILE = "recipe.yaml"
REPORT_FILE = "report.json"


def claim_output(recipe: Recipe) -> Path:
    """Make the folder, check that it can be written, and put the resolved recipe there.

    A folder that holds a run of the same resolved recipe is taken again; the user's files are
    never deleted.

    Raises:
        InputError: it cannot be written, or holds another run or other files.
    """
    folder = Path(recipe.output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(
            f"the output folder {folder} cannot be written ({error.strerror}): choose another with "
            "--output-dir"
        ) from error
    if not holds_run_of(recipe, folder):
        _check_free(recipe, folder)
        (folder / RECIPE_FILE).write_text(recipe.to_yaml(), encoding="utf-8")
    return folder


def holds_run_of(recipe: Recipe, folder: Path) -> bool:
    """Whether the folder's resolved recipe is this one (wherever the folder is named from)."""
    file = folder / RECIPE_FILE
    return file.is_file() and not any(_differences(read_yaml(file), recipe.to_dict()))


def is_finished(folder: Path) -> bool:
    """Whether the run in this folder came to its end: the report is written last."""
    return (folder / REPORT_FILE).is_file()


def _check_free(recipe: Recipe, folder: Path) -> None:
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
