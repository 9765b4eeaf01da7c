"""Read examples from files, saved data sets and the hub: the wanted columns, values as stored."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
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
from .checking import did_you_mean, shown
from .schema import Columns, DataConfig

SPLITS = ("train", "validation", "test")
SAVED_TO_DISK = ("state.json", "dataset_dict.json")
WHOLE_NUMBER = re.compile(r"\s*[-+]?[0-9]+(\.0*)?\s*", re.ASCII)


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
        dataset = _own_split(data, split) if source is None else _read(source, data.name, split)
        if dataset is not None:
            tables[split] = _table(dataset, data.columns, f"data.{split}")
    return _numbered(tables)


def _read(source: str | list[str], name: str | None, split: str) -> Dataset:
    if isinstance(source, list):
        return _concatenated([_read_file(Path(file)) for file in source], f"data.{split}")
    if Path(source).is_file():
        return _read_file(Path(source))
    named = _read_named(source, name, f"data.{split}")
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
    named = _read_named(data.train, data.name, "data.train")
    return named.get(split) if isinstance(named, DatasetDict) else None


def _concatenated(parts: list[Dataset], path: str) -> Dataset:
    try:
        return concatenate_datasets(parts)
    except ValueError as error:
        raise InputError(f"{path}: its files do not go together: {error}") from error


def _read_named(source: str, name: str | None, path: str) -> Dataset | DatasetDict:
    """A folder of ``save_to_disk``, or what ``load_dataset`` makes of a folder or hub name."""
    saved = any(Path(source, file).is_file() for file in SAVED_TO_DISK)
    try:
        return load_from_disk(source) if saved else load_dataset(source, name)
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
    try:
        match file.suffix.lower():
            case ".csv" | ".tsv":
                return _of_rows(list(_read_csv(file)))
            case ".parquet":
                import pyarrow.parquet

                return Dataset(pyarrow.parquet.read_table(file))
            case _:
                return _of_rows(_read_json(file))
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file} is not UTF-8 text (byte {error.start}): save it as UTF-8"
        ) from error
    except Exception as error:  # noqa: BLE001 - csv, json and pyarrow, each with its own
        raise InputError(f"cannot read {file}: {error}") from error


def _of_rows(rows: list[dict[str, Any]]) -> Dataset:
    """The rows as a data set: with every column, also one that the first row lacks."""
    columns: dict[str, list[Any]] = {name: [] for row in rows for name in row}
    for name, values in columns.items():
        values += [row.get(name) for row in rows]
        try:
            Dataset.from_dict({name: values})
        except Exception as error:  # noqa: BLE001 - pyarrow's errors have no common base
            raise ValueError(f"column {name!r}: {error}") from error
    return Dataset.from_dict(columns)


def _read_csv(file: Path) -> Iterator[dict[str, Any]]:
    """Rows as text: no guessed types, so that "NA" and "007" stay what they are."""
    csv.field_size_limit(2**31 - 1)
    with file.open(encoding="utf-8-sig", newline="") as lines:
        delimiter = _delimiter(file, lines.readline())
        lines.seek(0)
        reader = csv.DictReader(lines, delimiter=delimiter)
        names = reader.fieldnames or []
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise InputError(f"{file}: its header names the column {twice[0]!r} twice")
        for row in reader:
            if None in row:
                raise InputError(
                    f"{file}, line {reader.line_num}: more fields than the header has; "
                    "quote texts that contain the delimiter"
                )
            yield row


def _delimiter(file: Path, header: str) -> str:
    """Spreadsheets of many countries write CSV with semicolons."""
    marks = "\t" if file.suffix.lower() == ".tsv" else ",;\t"
    return next((mark for mark in marks if mark in header), marks[0])


def _read_json(file: Path) -> list[dict[str, Any]]:
    """Rows of JSON lines, or of one JSON array of objects."""
    text = file.read_text(encoding="utf-8-sig")
    if text.lstrip().startswith("["):
        numbered = [(f"item {n}", item) for n, item in enumerate(json.loads(text), start=1)]
    else:
        # Not splitlines: U+2028 and its like may stand inside a JSON string.
        lines = enumerate(text.split("\n"), start=1)
        numbered = [(f"line {n}", _parsed(line, file, n)) for n, line in lines if line.strip()]
    for place, row in numbered:
        if not isinstance(row, dict):
            raise InputError(f"{file}, {place}: expected a JSON object, not {shown(row)}")
    return [row for _, row in numbered]


def _parsed(line: str, file: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{file}, line {number}: not a JSON object: {error}") from error


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
    if all(_whole_number(value) is not None for value in values):
        return values
    wrong = [row for row, value in enumerate(values) if not isinstance(value, str)]
    if wrong:
        raise InputError(
            f"{path}: column {column!r} must hold one class per row, a whole number or text, but "
            f"{_rows(wrong[:1])} holds {values[wrong[0]]!r}"
        )
    return values


def _numbered(tables: dict[str, Table]) -> dict[str, Table]:
    """Labels as numbers where they are numbers in every split: "1" and "n/a" are two names."""
    numbers: dict[str, list[Any]] = {
        split: [_whole_number(label) for label in table.labels] for split, table in tables.items()
    }
    if any(None in found for found in numbers.values()):
        return tables
    return {split: replace(table, labels=numbers[split]) for split, table in tables.items()}


def _whole_number(value: Any) -> int | None:
    """The label as a number where it is one, also in a CSV file or stored as a float."""
    if isinstance(value, str) and not WHOLE_NUMBER.fullmatch(value):
        return None
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
