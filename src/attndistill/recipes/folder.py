"""The run's folder: claimed before anything is computed, and never another run's."""

import os
import shlex
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from ..errors import InputError
from ..export import check_replaceable
from ..reading import as_mapping
from ..report import OtherVersionError, RunReport
from ..report.schema import JSON_NAME
from ..training import latest_complete_checkpoint, list_checkpoints
from .config.recipe import Recipe
from .config.yaml_file import dump_yaml, read_yaml

RECIPE_FILE = "recipe.yaml"
FAILED_FILE = "failed.txt"
ARMS = "arms"


@dataclass(frozen=True, kw_only=True)
class RunFolder:
    """The folder of a recipe's run.

    Attributes:
        path: where it is.
        recipe: the resolved recipe as plain data, which identifies the run.
    """

    path: Path
    recipe: Mapping[str, Any]

    @classmethod
    def of(cls, recipe: Recipe) -> Self:
        """The recipe's own folder; nothing is looked at yet."""
        return cls(path=Path(recipe.output_dir), recipe=recipe.to_dict())

    @property
    def student(self) -> Path:
        """Where the trained student is saved."""
        return self.path / "student"

    @property
    def checkpoints(self) -> Path:
        """Where Trainer keeps its checkpoints."""
        return self.path / "checkpoints"

    @property
    def teachers(self) -> Path:
        """Where fine-tuned teachers are kept: beside the run, for an arm beside its comparison."""
        is_arm = self.path.parts[-3:-2] == (ARMS,)
        return (self.path.parents[3] if is_arm else self.path.parent) / "teachers"

    @cached_property
    def checkpoint(self) -> Path | None:
        """The checkpoint to continue from, if any."""
        return latest_complete_checkpoint(self.checkpoints)

    @property
    def passed_over(self) -> list[Path]:
        """The checkpoints newer than the one to continue from: they cannot be resumed."""
        newest_first = list_checkpoints(self.checkpoints)
        if self.checkpoint is None:
            return newest_first
        return newest_first[: newest_first.index(self.checkpoint)]

    @property
    def is_finished(self) -> bool:
        """Whether the run here is finished (the report is written last) and complete."""
        try:
            RunReport.read(self.path / JSON_NAME)
        except OtherVersionError:
            pass
        except InputError:
            return False
        return any(self.student.glob("*.safetensors"))

    @property
    def holds_this_run(self) -> bool:
        """Whether the resolved recipe here is this one, whatever path names the folder."""
        if not (self.path / RECIPE_FILE).is_file():
            return False
        return not any(_differences(self._recipe_there(), self.recipe))

    def check(self) -> None:
        """Check, without changing anything, that the run may use the folder.

        This run may replace one of another recipe that ended with an error, see
        `marked_if_it_fails`, and left nothing: no report, student or arms, and no checkpoint to
        continue from. A run in progress has no such mark.

        Raises:
            InputError: it cannot be written, or holds another run or other files.
        """
        try:
            self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            pass
        except OSError as error:  # a name that is too long, a folder without permission to enter
            raise self._unwritable(error.strerror) from error
        parents = (self.path, *self.path.absolute().parents)
        existing = next(path for path in parents if os.path.exists(path))
        if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
            raise self._unwritable(f"{existing} is not a folder that you may write to")
        for part in (self.checkpoints, self.student, *list_checkpoints(self.checkpoints)):
            if part.exists() and not part.is_dir():
                raise self._unwritable(f"its {part.relative_to(self.path)} is not a folder")
        check_replaceable(self.student)
        if self.path.is_dir() and not self.holds_this_run and not self._left_nothing():
            self._refuse_foreign()

    def claim(self, *, resume: bool = False) -> None:
        """Take the folder for this run; `record` follows once the recipe has proved valid.

        Args:
            resume: continue a run of the same resolved recipe that is there.

        Raises:
            InputError: see `check`; or the folder holds this run already, finished or begun, and
                ``resume`` is False.
        """
        self.check()
        checkpoint = self.checkpoint  # looked up before the run adds its own
        if not resume and (checkpoint or self.is_finished):
            state = "a finished run" if self.is_finished else "an unfinished run"
            raise InputError(
                f"the output folder {self.path} holds {state} of this recipe: continue it with "
                "--resume, or choose another with --output-dir"
            )
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._unwritable(error.strerror) from error

    def record(self) -> None:
        """Put the resolved recipe into the folder: from now on it is this run's.

        Checkpoints left by another recipe's failed run, see `check`, are removed.
        """
        if not self.holds_this_run:
            shutil.rmtree(self.checkpoints, ignore_errors=True)
        (self.path / FAILED_FILE).unlink(missing_ok=True)
        (self.path / RECIPE_FILE).write_text(dump_yaml(self.recipe), encoding="utf-8")

    @contextmanager
    def marked_if_it_fails(self) -> Iterator[None]:
        """Leave the reason in the folder if the run ends with an error or is interrupted."""
        try:
            yield
        except BaseException as error:
            with suppress(OSError):
                reason = f"{type(error).__name__}: {error}\n"
                (self.path / FAILED_FILE).write_text(reason, encoding="utf-8")
            raise

    def _recipe_there(self) -> dict[str, Any]:
        try:
            return as_mapping(read_yaml(self.path / RECIPE_FILE), "")
        except InputError as error:
            raise InputError(
                f"the output folder {self.path} holds a run whose recipe cannot be read "
                f"({error}): {self._two_ways()}"
            ) from error

    def _left_nothing(self) -> bool:
        """Whether a run that failed has left nothing but its resolved recipe."""
        file, names = self.path / RECIPE_FILE, {path.name for path in self.path.iterdir()}
        wanted = {RECIPE_FILE, FAILED_FILE}
        if names - {*wanted, self.checkpoints.name} or not wanted <= names:
            return False
        # A recipe that a user wrote, perhaps with comments, is not to be overwritten.
        there, text = self._recipe_there(), file.read_text(encoding="utf-8")
        written_here = text == dump_yaml(there) and list(there) == list(self.recipe)
        return written_here and self.checkpoint is None

    def _refuse_foreign(self) -> None:
        if (self.path / RECIPE_FILE).is_file():
            changes = list(_differences(self._recipe_there(), self.recipe))
            raise InputError(
                f"the output folder {self.path} holds a run of another recipe "
                f"({'; '.join(changes[:5])}): {self._two_ways()}"
            )
        if any(self.path.iterdir()):
            raise InputError(
                f"the output folder {self.path} holds files that are not a run of this recipe: "
                "choose an empty or new one with --output-dir"
            )

    def _two_ways(self) -> str:
        give_up = f"`rm -r {shlex.quote(str(self.path))}`"
        return f"choose another with --output-dir, or delete that run with {give_up}"

    def _unwritable(self, reason: str | None) -> InputError:
        return InputError(
            f"the output folder {self.path} cannot be written ({reason}): choose another with "
            "--output-dir"
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
