"""Rows of data files as they are stored: no types are guessed, and every error names the line."""

import csv
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from ...errors import InputError, shown


def files_of(source: str | list[str]) -> list[Path]:
    """The files that a line of a recipe names; none where it names a folder or a data set."""
    if isinstance(source, list):
        return [Path(file) for file in source]
    return [Path(source)] if Path(source).is_file() else []


def read_rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file, read one by one as they are asked for.

    Raises:
        InputError: the file cannot be read, or a row is wrong.
    """
    with naming(file):
        match file.suffix.lower():
            case ".csv" | ".tsv":
                yield from _read_csv(file)
            case ".txt":
                with file.open(encoding="utf-8-sig") as lines:
                    yield from ({"text": line.rstrip("\n")} for line in lines if line.strip())
            case ".parquet":
                import pyarrow.parquet

                for batch in pyarrow.parquet.ParquetFile(file).iter_batches():
                    yield from batch.to_pylist()
            case _:
                yield from _read_json(file)


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Name the file in whatever error comes of reading it.

    Raises:
        InputError: it cannot be read.
    """
    try:
        yield
    except InputError:
        raise
    except UnicodeDecodeError as error:
        raise InputError(
            f"{file} is not UTF-8 text (byte {error.start}): save it as UTF-8"
        ) from error
    except Exception as error:  # noqa: BLE001 - csv, json and pyarrow, each with its own
        raise InputError(f"cannot read {file}: {error}") from error


def _read_csv(file: Path) -> Iterator[dict[str, Any]]:
    """Rows as text, so that "NA" and "007" stay what they are."""
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
    """The delimiter: in many countries spreadsheets write CSV with semicolons."""
    marks = "\t" if file.suffix.lower() == ".tsv" else ",;\t"
    return next((mark for mark in marks if mark in header), marks[0])


def _read_json(file: Path) -> Iterator[dict[str, Any]]:
    """Rows of JSON lines, or of one JSON array of objects."""
    with file.open(encoding="utf-8-sig") as lines:
        start = next((line for line in lines if line.strip()), "")
        lines.seek(0)
        is_array = start.lstrip().startswith("[")
        for place, value in _items(lines) if is_array else _lines(lines, file):
            if not isinstance(value, dict):
                raise InputError(f"{file}, {place}: expected a JSON object, not {shown(value)}")
            yield value


def _items(array: TextIO) -> Iterator[tuple[str, Any]]:
    for number, item in enumerate(json.load(array), start=1):
        yield f"item {number}", item


def _lines(lines: TextIO, file: Path) -> Iterator[tuple[str, Any]]:
    # Not str.splitlines: U+2028 and its like may stand inside a JSON string.
    for number, line in enumerate(lines, start=1):
        if line.strip():
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise InputError(f"{file}, line {number}: not a JSON object: {error}") from error
            yield f"line {number}", value
