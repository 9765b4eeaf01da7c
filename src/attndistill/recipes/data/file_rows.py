"""Rows of text files, as they are: no guessed types, and every error names the line."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...errors import InputError, shown


def read_rows(file: Path) -> Iterator[dict[str, Any]]:
    """The rows of a file one by one, read lazily.

    Raises:
        InputError: a row is malformed; raised when it is reached.
    """
    match file.suffix.lower():
        case ".csv" | ".tsv":
            yield from read_csv(file)
        case ".txt":
            yield from read_lines(file)
        case ".parquet":
            import pyarrow.parquet

            for batch in pyarrow.parquet.ParquetFile(file).iter_batches():
                yield from batch.to_pylist()
        case ".json":
            yield from read_json(file)
        case _:
            yield from _read_json_lines(file)


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """Each line that is not empty is a ``text``."""
    with file.open(encoding="utf-8-sig") as lines:
        yield from ({"text": line.rstrip("\n")} for line in lines if line.strip())


def read_csv(file: Path) -> Iterator[dict[str, Any]]:
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
    """The delimiter: in many countries spreadsheets write CSV with semicolons."""
    marks = "\t" if file.suffix.lower() == ".tsv" else ",;\t"
    return next((mark for mark in marks if mark in header), marks[0])


def read_json(file: Path) -> list[dict[str, Any]]:
    """Rows of JSON lines, or of one JSON array of objects."""
    text = file.read_text(encoding="utf-8-sig")
    if text.lstrip().startswith("["):
        numbered = [(f"item {n}", item) for n, item in enumerate(json.loads(text), start=1)]
    else:
        # Not splitlines: a JSON string may contain U+2028 and similar separators.
        lines = enumerate(text.split("\n"), start=1)
        numbered = [(f"line {n}", _parsed(line, file, n)) for n, line in lines if line.strip()]
    return [_row(row, file, place) for place, row in numbered]


def _parsed(line: str, file: Path, number: int) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError as error:
        raise InputError(f"{file}, line {number}: not a JSON object: {error}") from error


def _read_json_lines(file: Path) -> Iterator[dict[str, Any]]:
    # Only \n ends a line: a JSON string may contain U+2028 and similar separators.
    with file.open(encoding="utf-8-sig", newline="\n") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                yield _row(_parsed(line, file, number), file, f"line {number}")


def _row(value: Any, file: Path, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{file}, {place}: expected a JSON object, not {shown(value)}")
    return value
