"""Read examples from files, saved data sets and the hub: the wanted columns, values as stored."""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import (
    ClassLabel,
    Dataset,
    DatasetDict,
    concatenate_datasets,
    load_dataset,
    load_from_disk,
)

from ..errors import InputError
from .checking import did_you_mean
from .schema import Columns, DataConfig

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """The rows of one split.

    Attributes:
        texts: the text, or the first of a pair.
        pairs: the second texts, or None.
        labels: as the source has them: whole numbers or text.
        label_names: the names of numbered labels, where the source has them.
        source: its name, for messages.
    """

    texts: list[str]
    pairs: list[str] | None
    labels: list[int | str]
    label_names: tuple[str, ...] | None
    source: str

    def __len__(self) -> int:
        return len(self.texts)

    def select(self, rows: list[int], source: str) -> "Table":
        """The given rows, in this order."""
        return Table(
            texts=[self.texts[row] for row in rows],
            pairs=None if self.pairs is None else [self.pairs[row] for row in rows],
            labels=[self.labels[row] for row in rows],
            label_names=self.label_names,
            source=source,
        )


def read_tables(data: DataConfig) -> dict[str, Table]:
    """Read the splits that the recipe names, and those that come with a named data set.

    Raises:
        InputError: a source cannot be read, lacks a column, is empty, or holds an empty text.
    """
    tables = {}
    for split in SPLITS:
        source = getattr(data, split)
        dataset = _own_split(data, split) if source is None else _read(source, split)
        if dataset is not None:
            tables[split] = _table(dataset, data.columns, f"data.{split}")
    return tables


def _read(source: str | list[str], split: str) -> Dataset:
    if isinstance(source, list):
        return concatenate_datasets([_read_file(Path(name)) for name in source])
    if Path(source).is_file():
        return _read_file(Path(source))
    named = _read_named(source, f"data.{split}")
    if isinstance(named, Dataset):
        return named
    if split not in named:
        raise InputError(
            f"data.{split}: {source!r} has no split {split!r}, only {', '.join(named)}"
        )
    return named[split]


def _own_split(data: DataConfig, split: str) -> Dataset | None:
    """The split of this name that comes with the training data, if any."""
    if isinstance(data.train, list) or Path(data.train).is_file():
        return None
    named = _read_named(data.train, "data.train")
    return named.get(split) if isinstance(named, DatasetDict) else None


def _read_named(source: str, path: str) -> Dataset | DatasetDict:
    try:
        return load_from_disk(source) if Path(source).is_dir() else load_dataset(source)
    except Exception as error:  # noqa: BLE001 - the hub's errors have no common base
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise InputError(
            f"{path}: {source!r} is neither a file nor a folder written by save_to_disk, and "
            f"loading it as a hub data set failed: {reason[0]}"
            if not Path(source).is_dir()
            else f"{path}: the folder {source!r} was not written by save_to_disk: {reason[0]}"
        ) from error


def _read_file(file: Path) -> Dataset:
    try:
        match file.suffix.lower():
            case ".csv" | ".tsv":
                return Dataset.from_list(list(_read_csv(file)))
            case ".parquet":
                import pyarrow.parquet

                return Dataset(pyarrow.parquet.read_table(file))
            case _:
                return Dataset.from_list(_read_json(file))
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - csv, json, pyarrow and codecs, each with its own
        raise InputError(f"cannot read {file}: {error}") from error


def _read_csv(file: Path) -> Iterator[dict[str, Any]]:
    """Rows as text: no guessed types, so that "NA" and "007" stay what they are."""
    csv.field_size_limit(2**31 - 1)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines, delimiter="\t" if file.suffix.lower() == ".tsv" else ",")
        for row in reader:
            if None in row:
                raise InputError(
                    f"{file}, line {reader.line_num}: more fields than the header has; "
                    "quote texts that contain the delimiter"
                )
            yield row


def _read_json(file: Path) -> list[dict[str, Any]]:
    text = file.read_text(encoding="utf-8-sig")
    if text.lstrip().startswith("["):
        return json.loads(text)
    rows = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"{file}, line {number}: not a JSON object: {error}") from error
        if not isinstance(row, dict):
            raise InputError(f"{file}, line {number}: expected a JSON object, not {row!r}")
        rows.append(row)
    return rows


def _table(dataset: Dataset, columns: Columns, path: str) -> Table:
    if len(dataset) == 0:
        raise InputError(f"{path} is empty: it has no rows")
    roles = {"text": columns.text, "text_pair": columns.text_pair, "label": columns.label}
    for role, name in roles.items():
        if name is not None and name not in dataset.column_names:
            raise InputError(
                f"{path} has no column {name!r} (data.columns.{role})"
                f"{did_you_mean(name, dataset.column_names)}; "
                f"its columns are {', '.join(dataset.column_names)}"
            )
    feature = dataset.features[columns.label]
    pair = columns.text_pair
    return Table(
        texts=_texts(dataset, columns.text, path),
        pairs=None if pair is None else _texts(dataset, pair, path),
        labels=_labels(dataset[columns.label], columns.label, path),
        label_names=tuple(feature.names) if isinstance(feature, ClassLabel) else None,
        source=path,
    )


def _texts(dataset: Dataset, column: str, path: str) -> list[str]:
    values = list(dataset[column])
    empty = [row for row, text in enumerate(values) if text is None or not str(text).strip()]
    if empty:
        raise InputError(
            f"{path}: column {column!r} is empty in {_rows(empty)}; fill or remove those rows"
        )
    wrong = [row for row, text in enumerate(values) if not isinstance(text, str)]
    if wrong:
        raise InputError(
            f"{path}: column {column!r} must hold text, but {_rows(wrong)} hold other values, "
            f"such as {values[wrong[0]]!r}; is this the text column?"
        )
    return values


def _labels(values: Any, column: str, path: str) -> list[int | str]:
    values = list(values)
    missing = [row for row, value in enumerate(values) if value is None or value == ""]
    if missing:
        raise InputError(
            f"{path}: column {column!r} has no label in {_rows(missing)}; fill or remove those rows"
        )
    numbers = [number for value in values if (number := _whole_number(value)) is not None]
    if len(numbers) == len(values):
        return list(numbers)
    wrong = [row for row, value in enumerate(values) if not isinstance(value, str)]
    if wrong:
        raise InputError(
            f"{path}: column {column!r} must hold one class per row, a whole number or text, but "
            f"{_rows(wrong[:1])} holds {values[wrong[0]]!r}"
        )
    return values


def _whole_number(value: Any) -> int | None:
    """The label as a number where it is one, also in a CSV file or stored as a float."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() else None


def _rows(rows: list[int]) -> str:
    """Row numbers, counted from 1 without the header."""
    shown = ", ".join(str(row + 1) for row in rows[:5])
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"data {'row' if len(rows) == 1 else 'rows'} {shown}{more}"
