"""The examples of a run: three splits are read, cut from train where missing, and encoded."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import IterableDataset
from sklearn.model_selection import train_test_split
from transformers import PreTrainedModel

from ...errors import InputError
from ...tasks import Data, LabelMap, Table, Task
from ..config.dataset import DataConfig
from .sources import SPLITS, read_split, read_splits
from .streams import read_stream, set_aside, shuffled

# Fixed: runs with other seeds must be judged on the same rows.
SPLIT_SEED = 0
SPLIT_SHARE = 0.1
FEWEST_ROWS_TO_CUT = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """The rows of every split, as read.

    Attributes:
        train, validation, test: the splits; train may be a stream.
        origins: where each split's rows come from.
        notes: what was decided on the way, for the user.
    """

    train: Table | IterableDataset
    validation: Table
    test: Table
    origins: dict[str, str]
    notes: tuple[str, ...]

    def splits(self) -> Iterator[tuple[str, Table | IterableDataset]]:
        """The name and rows of each split."""
        yield from (("train", self.train), ("validation", self.validation), ("test", self.test))


def load_examples(config: DataConfig, task: Task) -> Examples:
    """Read the splits; the ones that are missing are cut from the training rows.

    Raises:
        InputError: see `read_splits` and `Task.read`; or there are too few rows to cut from.
    """
    if config.streaming:
        return _streamed(config, task)
    tables = task.read(read_splits(config))
    rows = len(tables["train"])
    origins = {split: _origin(config, split) for split in tables}
    notes = []
    for split in reversed(SPLITS):
        if split not in tables:
            train = tables["train"]
            strata = task.strata(train)
            tables["train"], tables[split] = _cut(train, strata, round(SPLIT_SHARE * rows), split)
            origins[split] = f"cut from train with seed {SPLIT_SEED}"
            notes.append(
                f"No {split} data: {len(tables[split])} of the {rows} training rows were set aside "
                "for it (the same ones in every run)."
            )
    notes += _overlaps(tables, task)
    return Examples(**tables, origins=origins, notes=tuple(notes))


def encode(
    examples: Examples,
    task: Task,
    labels: LabelMap | None,
    processor: Any,
    teacher: PreTrainedModel,
) -> Data:
    """Encode every split.

    Raises:
        InputError: a row cannot be encoded, for example because its label is not a class.
    """
    splits = {}
    for split, table in examples.splits():
        if isinstance(table, IterableDataset):
            splits[split] = task.stream(table, processor)
        else:
            splits[split] = task.encode(table, labels, processor, training=split == "train")
    return Data(
        **splits,
        labels=labels,
        processor=processor,
        collator=task.collator(processor, teacher),
    )


def _streamed(config: DataConfig, task: Task) -> Examples:
    """A stream to train on; its first rows replace the splits that are missing."""
    stream, rows, notes = read_stream(config), {}, []
    origins = {"train": f"stream of {_origin(config, 'train')}"}
    for split in SPLITS[1:]:
        if getattr(config, split) is not None:
            rows[split], origins[split] = read_split(config, split), _origin(config, split)
            continue
        stream, rows[split] = set_aside(stream, split)
        origins[split] = "the first rows of the stream that no other split has"
        notes.append(f"No {split} data: {len(rows[split])} rows of the stream were set aside.")
    tables = task.read(rows)
    return Examples(train=shuffled(stream), **tables, origins=origins, notes=tuple(notes))


def _cut(table: Table, strata: list[Any] | None, rows: int, split: str) -> tuple[Table, Table]:
    """Set rows aside, with all classes in proportion where each has enough rows."""
    if len(table) < FEWEST_ROWS_TO_CUT:
        raise InputError(
            f"{table.source} has {len(table)} rows left, too few to cut a {split} split from "
            f"(at least {FEWEST_ROWS_TO_CUT}): give data.{split}"
        )
    everything = np.arange(len(table))
    if strata is not None:
        _, counts = np.unique(np.array(strata, dtype=str), return_counts=True)
        strata = strata if counts.min() >= 2 and rows >= len(counts) else None
    kept, aside = train_test_split(
        everything, test_size=rows, random_state=SPLIT_SEED, stratify=strata
    )
    cut_from = f"{table.source} (rows set aside for {split})"
    return (
        table.select(sorted(kept.tolist()), table.source),
        table.select(sorted(aside.tolist()), cut_from),
    )


def _origin(config: DataConfig, split: str) -> str:
    source = getattr(config, split)
    if source is None:
        return f"split {split!r} of {config.train}"
    return source if isinstance(source, str) else ", ".join(source)


def _overlaps(tables: dict[str, Table], task: Task) -> Iterator[str]:
    """Note how many evaluation rows are also trained on: they flatter every model."""
    trained = set(task.keys(tables["train"]))
    for split in SPLITS[1:]:
        shared = sum(key in trained for key in task.keys(tables[split]))
        if shared:
            yield f"{shared} of the {len(tables[split])} {split} texts are also in train."
