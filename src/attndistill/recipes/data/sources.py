"""Read splits from files, saved data sets and the hub, with their values as stored."""

from pathlib import Path
from typing import Any

from datasets import (
    Dataset,
    DatasetDict,
    concatenate_datasets,
    load_dataset,
    load_from_disk,
)

from ...errors import InputError
from ..config.dataset import DataConfig
from .file_rows import files_of, naming, read_rows

SPLITS = ("train", "validation", "test")
SAVED_TO_DISK = ("state.json", "dataset_dict.json")


def read_splits(data: DataConfig) -> dict[str, Dataset]:
    """Read the splits that the recipe names, and those that come with a named data set.

    Raises:
        InputError: a source cannot be read.
    """
    found = {}
    for split in SPLITS:
        named = getattr(data, split) is not None
        dataset = read_split(data, split) if named else _own_split(data, split)
        if dataset is not None:
            found[split] = dataset
    return found


def read_split(data: DataConfig, split: str) -> Dataset:
    """Read one split that the recipe names.

    Raises:
        InputError: it cannot be read.
    """
    return _read(getattr(data, split), data.name, split)


def _read(source: str | list[str], name: str | None, split: str) -> Dataset:
    if files := files_of(source):
        return _concatenated([_read_file(file) for file in files], f"data.{split}")
    assert isinstance(source, str), "a list names files"
    named = _read_named(source, name, f"data.{split}")
    if isinstance(named, Dataset):
        return named
    if list(named) == ["train"] and Path(source).is_dir() and not _is_saved(source):
        return named["train"]  # what load_dataset calls a folder without splits
    if split not in named:
        raise InputError(
            f"data.{split}: {source!r} has no split {split!r}, only {', '.join(named)}"
        )
    return named[split]


def _own_split(data: DataConfig, split: str) -> Dataset | None:
    """The split of this name that comes with the training data, if any."""
    if isinstance(data.train, list) or files_of(data.train):
        return None
    named = _read_named(data.train, data.name, "data.train")
    return named.get(split) if isinstance(named, DatasetDict) else None


def _concatenated(parts: list[Dataset], path: str) -> Dataset:
    try:
        return concatenate_datasets(parts)
    except ValueError as error:
        raise InputError(f"{path}: its files cannot be read as one table: {error}") from error


def _is_saved(source: str) -> bool:
    return any(Path(source, file).is_file() for file in SAVED_TO_DISK)


def _read_named(source: str, name: str | None, path: str) -> Dataset | DatasetDict:
    """A folder of ``save_to_disk``, or what ``load_dataset`` makes of a folder or hub name."""
    try:
        return load_from_disk(source) if _is_saved(source) else load_dataset(source, name)
    except Exception as error:  # noqa: BLE001 - the hub's errors have no common base
        what = (
            f"the folder {source!r} was not written by save_to_disk, and load_dataset cannot read"
            if Path(source).is_dir()
            else f"{source!r} is neither a file nor a folder, and load_dataset finds no data set in"
        )
        reason = " ".join(str(error).split())[:400] or type(error).__name__
        hint = "" if name else " (data.name picks one of a data set's configurations)"
        raise InputError(f"{path}: {what} it{hint}: {reason}") from error


def _read_file(file: Path) -> Dataset:
    with naming(file):
        if file.suffix.lower() == ".parquet":
            import pyarrow.parquet

            # The only files with types, such as classes with names.
            return Dataset(pyarrow.parquet.read_table(file))
        return _of_rows(list(read_rows(file)))


def _of_rows(rows: list[dict[str, Any]]) -> Dataset:
    """The rows as a data set with every column, also those that the first row lacks."""
    columns: dict[str, list[Any]] = {name: [] for row in rows for name in row}
    for name, values in columns.items():
        values += [row.get(name) for row in rows]
        try:
            Dataset.from_dict({name: values})
        except Exception as error:  # noqa: BLE001 - pyarrow's errors have no common base
            raise ValueError(f"column {name!r}: {error}") from error
    return Dataset.from_dict(columns)
