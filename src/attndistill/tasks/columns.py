"""Checked rows of a split, and the checks of its columns; every error names the rows."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from datasets import ClassLabel, Dataset

from ..errors import InputError, data_rows, did_you_mean, shown

WHOLE_NUMBER = re.compile(r"\s*[-+]?[0-9]+(\.0*)?\s*", re.ASCII)


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """The rows of one split.

    Attributes:
        rows: columns named by their role (``text``, ``label``, …).
        source: its name, for messages.
        label_names: the names of numbered labels, where the source has them.
    """

    rows: Dataset
    source: str
    label_names: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, role: str) -> list[Any]:
        """The values of a column."""
        return list(self.rows[role])

    def select(self, rows: Sequence[int], source: str) -> "Table":
        """The given rows, in this order."""
        return replace(self, rows=self.rows.select(rows), source=source)


def pick_columns(dataset: Dataset, roles: Mapping[str, str | None], source: str) -> Dataset:
    """The columns that have a role, under its name.

    Raises:
        InputError: there are no rows, or no such column.
    """
    if len(dataset) == 0:
        raise InputError(f"{source} is empty: it has no rows")
    named = {role: name for role, name in roles.items() if name is not None}
    for role, name in named.items():
        if name not in dataset.column_names:
            raise InputError(
                f"{source} has no column {name!r} (data.columns.{role})"
                f"{did_you_mean(name, dataset.column_names)}; "
                f"its columns are {', '.join(dataset.column_names)}"
            )
    chosen = dataset.select_columns(list(named.values()))
    return chosen.rename_columns(
        {name: role for role, name in named.items() if name != role}
    ).select_columns(list(named))


def check_texts(values: Sequence[Any], column: str, source: str) -> None:
    """Refuse rows without text.

    Raises:
        InputError: naming the rows.
    """
    empty = [row for row, text in enumerate(values) if text is None or not str(text).strip()]
    if empty:
        raise InputError(
            f"{source}: column {column!r} is empty in {data_rows(empty)}; fill or remove those rows"
        )
    wrong = [row for row, text in enumerate(values) if not isinstance(text, str)]
    if wrong:
        raise InputError(
            f"{source}: column {column!r} must hold text, but {data_rows(wrong)} hold other "
            f"values, such as {shown(values[wrong[0]])}; is this the text column?"
        )


def check_given(values: Sequence[Any], column: str, source: str) -> None:
    """Refuse rows without a label.

    Raises:
        InputError: naming the rows.
    """
    missing = [row for row, value in enumerate(values) if value is None or value == ""]
    if missing:
        raise InputError(
            f"{source}: column {column!r} has no label in {data_rows(missing)}; "
            "fill or remove those rows"
        )


def check_classes(values: Sequence[Any], column: str, source: str) -> None:
    """Refuse labels that are no single class, a whole number or text.

    Raises:
        InputError: naming the row.
    """
    check_given(values, column, source)
    if all(whole_number(value) is not None for value in values):
        return
    wrong = [row for row, value in enumerate(values) if not isinstance(value, str)]
    if wrong:
        raise InputError(
            f"{source}: column {column!r} must hold one class per row, a whole number or text, but "
            f"{data_rows(wrong[:1])} holds {shown(values[wrong[0]])}"
        )


def check_lists(values: Sequence[Any], column: str, source: str, what: str) -> None:
    """Refuse what is no list of text or whole numbers; ``what`` it should be, for the message.

    Raises:
        InputError: naming the row.
    """
    for row, value in enumerate(values):
        if not isinstance(value, list) or not all(_is_name(each) for each in value):
            raise InputError(
                f"{source}: column {column!r} must hold {what} in every row, but "
                f"{data_rows([row])} holds {shown(value)}; CSV files have no lists: use JSON lines "
                "or Parquet"
            )


def _is_name(value: Any) -> bool:
    return isinstance(value, str) or whole_number(value) is not None


def class_names(dataset: Dataset, column: str) -> tuple[str, ...] | None:
    """The names of a column's numbered classes (``ClassLabel``, also in lists), if it has any."""
    feature = dataset.features[column]
    while hasattr(feature, "feature"):
        feature = feature.feature
    return tuple(feature.names) if isinstance(feature, ClassLabel) else None


def check_same_names(tables: Mapping[str, Table]) -> None:
    """Refuse splits that name their numbered labels differently.

    Raises:
        InputError: naming the names.
    """
    if len({table.label_names for table in tables.values()}) > 1:
        names = ", ".join(f"{split} {table.label_names}" for split, table in tables.items())
        raise InputError(f"the splits name their labels differently: {names}")


def numbered(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Labels as numbers where they are numbers in every split: "1" and "n/a" are two names.

    Args:
        columns: by split, labels or lists of labels.
    """
    flat = [label for column in columns.values() for label in flattened(column)]
    if any(whole_number(label) is None for label in flat):
        return dict(columns)

    def number(label: Any) -> Any:
        return [number(each) for each in label] if isinstance(label, list) else whole_number(label)

    return {split: [number(label) for label in column] for split, column in columns.items()}


def flattened(labels: Sequence[Any]) -> Iterator[Any]:
    """Labels, those in lists too."""
    for label in labels:
        if isinstance(label, list):
            yield from label
        else:
            yield label


def whole_number(value: Any) -> int | None:
    """The label as a number where it is one, also in a CSV file or stored as a float."""
    if isinstance(value, str) and not WHOLE_NUMBER.fullmatch(value):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return int(number) if number.is_integer() else None
