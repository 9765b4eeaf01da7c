"""Training rows as a stream: read during training, and not kept."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datasets import Dataset, IterableDataset, load_dataset

from ...errors import InputError
from ..config.dataset import DataConfig
from .file_rows import files_of, read_rows

# Fixed: every run sets the same rows aside, and trains on the rest in the same order.
SHUFFLE_SEED, SHUFFLE_BUFFER = 0, 1000
ROWS_SET_ASIDE = 500


def read_stream(data: DataConfig) -> IterableDataset:
    """The training rows one by one, in the order of their files.

    Raises:
        InputError: there is no such stream. A wrong row is refused when it is read.
    """
    if files := files_of(data.train):
        return IterableDataset.from_generator(_rows_of_files, gen_kwargs={"files": files})
    try:
        named = load_dataset(data.train, data.name, streaming=True)
    except Exception as error:  # noqa: BLE001 - the hub's errors have no common base
        reason = " ".join(str(error).split())[:400] or type(error).__name__
        raise InputError(f"data.train: {data.train!r} cannot be streamed: {reason}") from error
    if "train" not in named:
        raise InputError(
            f"data.train: {data.train!r} has no split 'train', only {', '.join(named)}"
        )
    return named["train"]


def set_aside(stream: IterableDataset, split: str) -> tuple[IterableDataset, Dataset]:
    """Set the first rows of a stream aside for a split; the rest comes first.

    Raises:
        InputError: the stream has too few rows.
    """
    first = list(stream.take(ROWS_SET_ASIDE))
    if len(first) < ROWS_SET_ASIDE:
        raise InputError(
            f"data.train has too few rows to set {ROWS_SET_ASIDE} aside for a {split} split: give "
            f"data.{split}"
        )
    return stream.skip(ROWS_SET_ASIDE), Dataset.from_list(first)


def shuffled(stream: IterableDataset) -> IterableDataset:
    """The stream in the order in which it is trained on, the same one every time."""
    return stream.shuffle(seed=SHUFFLE_SEED, buffer_size=SHUFFLE_BUFFER)


def _rows_of_files(files: list[Path]) -> Iterator[dict[str, Any]]:
    for file in files:
        yield from read_rows(file)
