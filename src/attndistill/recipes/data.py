"""The examples of a run: three splits, encoded for the teacher's tokenizer and labels."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from datasets import Dataset
from sklearn.model_selection import train_test_split
from transformers import DataCollatorWithPadding, PreTrainedTokenizerBase

from ..errors import InputError
from .labels import LabelMap
from .schema import DataConfig
from .tables import SPLITS, Table, read_tables

# Fixed: runs with other seeds must be judged on the same rows.
SPLIT_SEED = 0
SPLIT_SHARE = 0.1
FEWEST_ROWS_TO_CUT = 20


@dataclass(frozen=True, kw_only=True, eq=False)
class Examples:
    """The rows of every split, as text.

    Attributes:
        train, validation, test: the splits.
        origins: where each split's rows come from.
        notes: what was decided on the way, for the user.
    """

    train: Table
    validation: Table
    test: Table
    origins: dict[str, str]
    notes: tuple[str, ...]

    def splits(self) -> Iterator[tuple[str, Table]]:
        """Name and rows of each split."""
        yield from (("train", self.train), ("validation", self.validation), ("test", self.test))


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """Tokenised splits with ``labels``.

    Attributes:
        train, validation, test: the splits.
        collator: pads a list of rows to a batch.
        truncated: share of each split's rows that were cut at ``max_length``.
        examples: the same rows as text.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    collator: DataCollatorWithPadding
    truncated: dict[str, float]
    examples: Examples


def load_examples(config: DataConfig) -> Examples:
    """Read the splits; cut those that are missing from the training rows.

    Raises:
        InputError: see `read_tables`, and too few rows to cut from.
    """
    tables = read_tables(config)
    names = {table.label_names for table in tables.values()}
    if len(names) > 1:
        raise InputError(
            f"the splits name their labels differently: "
            f"{', '.join(f'{split} {table.label_names}' for split, table in tables.items())}"
        )
    rows = len(tables["train"])
    origins = {split: _origin(config, split) for split in tables}
    notes = []
    for split in reversed(SPLITS):
        if split not in tables:
            tables["train"], tables[split] = _cut(tables["train"], round(SPLIT_SHARE * rows), split)
            origins[split] = f"cut from train with seed {SPLIT_SEED}"
            notes.append(
                f"No {split} data: {len(tables[split])} of the {rows} training rows were set aside "
                "for it (the same ones in every run)."
            )
    notes += _overlaps(tables)
    return Examples(**tables, origins=origins, notes=tuple(notes))


def tokenise(
    examples: Examples, labels: LabelMap, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> Data:
    """Encode texts, cut at ``max_length`` tokens, and labels.

    Raises:
        InputError: a label that is not among the classes.
    """
    encoded = {split: labels.encode(table) for split, table in examples.splits()}
    splits, truncated = {}, {}
    for split, table in examples.splits():
        columns = dict(tokenizer(table.texts, table.pairs, truncation=True, max_length=max_length))
        truncated[split] = _truncated_share(table, columns["input_ids"], tokenizer, max_length)
        splits[split] = Dataset.from_dict({**columns, "labels": encoded[split]})
    notes = [*examples.notes, *([labels.note] if labels.note else [])]
    return Data(
        **splits,
        collator=DataCollatorWithPadding(tokenizer),
        truncated=truncated,
        examples=replace(examples, notes=tuple(notes)),
    )


def _cut(table: Table, rows: int, split: str) -> tuple[Table, Table]:
    """Set rows aside, with the classes in proportion where each has enough rows."""
    if len(table) < FEWEST_ROWS_TO_CUT:
        raise InputError(
            f"{table.source} has {len(table)} rows left, too few to cut a {split} split from "
            f"(at least {FEWEST_ROWS_TO_CUT}): give data.{split}"
        )
    everything = np.arange(len(table))
    _, counts = np.unique(np.array(table.labels, dtype=str), return_counts=True)
    stratify = table.labels if counts.min() >= 2 and rows >= len(counts) else None
    kept, aside = train_test_split(
        everything, test_size=rows, random_state=SPLIT_SEED, stratify=stratify
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


def _overlaps(tables: dict[str, Table]) -> Iterator[str]:
    """Say which evaluation texts are also trained on: they flatter every model."""
    trained = set(_keys(tables["train"]))
    for split in SPLITS[1:]:
        shared = sum(key in trained for key in _keys(tables[split]))
        if shared:
            yield f"{shared} of the {len(tables[split])} {split} texts are also in train."


def _keys(table: Table) -> Iterator[tuple[str, str]]:
    yield from zip(table.texts, table.pairs or [""] * len(table), strict=True)


def _truncated_share(
    table: Table, token_ids: list[list[int]], tokenizer: PreTrainedTokenizerBase, max_length: int
) -> float:
    full = [row for row, ids in enumerate(token_ids) if len(ids) == max_length]
    if not full:
        return 0.0
    pairs = None if table.pairs is None else [table.pairs[row] for row in full]
    uncut = tokenizer([table.texts[row] for row in full], pairs, truncation=False, verbose=False)
    return sum(len(ids) > max_length for ids in uncut["input_ids"]) / len(table)
