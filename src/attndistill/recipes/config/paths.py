"""Where a recipe's files are: relative to the working directory, else to the recipe's folder."""

import os
import re
from pathlib import Path

from ...errors import InputError

DATA_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet", ".txt")
HUB_NAME = re.compile(r"[\w][\w.-]*(/[\w][\w.-]*)?")


def locate_model(name: str, folder: Path, path: str) -> str:
    """The absolute path of a model folder, or the hub name as it is.

    Raises:
        InputError: it is neither a folder nor a possible hub name.
    """
    found = find(name, folder)
    if found is None:
        if HUB_NAME.fullmatch(name):
            return name
        raise InputError(f"{path}: there is no folder {name!r}{_looked_in(name, folder)}")
    if not found.is_dir():
        raise InputError(
            f"{path} must be a model folder written by save_pretrained, but {name!r} is a file"
        )
    return str(found)


def locate_data(source: str | list[str], folder: Path, path: str) -> str | list[str]:
    """The absolute paths of data files or of a folder, or the hub name as it is.

    Raises:
        InputError: a file is missing, or of an unsupported kind.
    """
    if isinstance(source, list):
        if not source:
            raise InputError(f"{path} is an empty list: name at least one file")
        return [_locate_file(name, folder, path) for name in source]
    found = find(source, folder)
    if found is not None and found.is_dir():
        return str(found)
    if found is None and HUB_NAME.fullmatch(source) and not source.endswith(DATA_SUFFIXES):
        return source
    return _locate_file(source, folder, path)


def find(name: str, folder: Path) -> Path | None:
    """The absolute path of an existing file or folder, or None."""
    given = _expanded(name)
    candidates = [given] if given.is_absolute() else [given, folder / given]
    # Path.exists raises on a name that is too long.
    found = (candidate.resolve() for candidate in candidates if os.path.exists(candidate))
    return next(found, None) if name else None


def _locate_file(name: str, folder: Path, path: str) -> str:
    found = find(name, folder)
    if found is None:
        raise InputError(f"{path}: there is no file {name!r}{_looked_in(name, folder)}")
    if found.suffix.lower() not in DATA_SUFFIXES:
        raise InputError(
            f"{path}: cannot read {name!r}; expected a file that ends in {', '.join(DATA_SUFFIXES)}"
        )
    return str(found)


def _expanded(name: str) -> Path:
    """The path with ``~`` expanded; unchanged for a user without a home."""
    return Path(os.path.expanduser(name))


def _looked_in(name: str, folder: Path) -> str:
    if _expanded(name).is_absolute():
        return ""
    places = dict.fromkeys([str(Path.cwd()), str(folder.resolve())])
    return f" (looked in {' and in '.join(places)})"
