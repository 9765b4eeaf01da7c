"""The rows of a split as read, and checks of their columns; every error names the rows."""

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

    def with_labels(self, labels: list[Any]) -> "Table":
        """The rows with other values in the column ``label``."""
        return replace(self, rows=self.rows.remove_columns("label").add_column("label", labels))


def check_roles(*names: str | None) -> None:
    """Refuse a column that is given two roles."""
    given = [name for name in names if name is not None]
    if len(set(given)) < len(given):
        raise InputError(f"a column has one role, but they are {', '.join(given)}")


def pick_columns(dataset: Dataset, roles: Mapping[str, str], source: str) -> Dataset:
    """The columns that have a role, renamed to it.

    Args:
        dataset: the rows.
        roles: the column of each role.
        source: where the rows are from, for messages.

    Raises:
        InputError: there are no rows, or no such column.
    """
    if len(dataset) == 0:
        raise InputError(f"{source} is empty: it has no rows")
    for role, name in roles.items():
        if name not in dataset.column_names:
            raise InputError(
                f"{source} has no column {name!r} (data.columns.{role})"
                f"{did_you_mean(name, dataset.column_names)}; "
                f"its columns are {', '.join(dataset.column_names)}"
            )
    # A data set keeps its format (torch, numpy) on disk: values are read as Python's here.
    chosen = dataset.with_format(None).select_columns(list(roles.values()))
    return chosen.rename_columns(
        {name: role for role, name in roles.items() if name != role}
    ).select_columns(list(roles))


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
    """Refuse labels that are not one class, a whole number or text.

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
    """Refuse values that are not lists of text or whole numbers; ``what`` names such a list.

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


def number_classes(tables: Mapping[str, Table]) -> dict[str, Table]:
    """The splits with the names of their classes, and their labels as numbers where all are.

    Only where every label of every split is a number: "1" and "n/a" are two names.

    Raises:
        InputError: the splits name their classes differently.
    """
    named = {
        split: replace(table, label_names=_class_names(table.rows))
        for split, table in tables.items()
    }
    if len({table.label_names for table in named.values()}) > 1:
        names = ", ".join(f"{split} {table.label_names}" for split, table in named.items())
        raise InputError(f"the splits name their labels differently: {names}")
    columns = {split: table.column("label") for split, table in named.items()}
    labels = [label for column in columns.values() for label in flattened(column)]
    if all(whole_number(label) is not None for label in labels):
        columns = {split: [_number(label) for label in column] for split, column in columns.items()}
    return {split: table.with_labels(columns[split]) for split, table in named.items()}


def _class_names(rows: Dataset) -> tuple[str, ...] | None:
    """The names of numbered labels (``ClassLabel``, also in lists), if they have any."""
    feature = rows.features["label"]
    while hasattr(feature, "feature"):
        feature = feature.feature
    return tuple(feature.names) if isinstance(feature, ClassLabel) else None


def _number(label: Any) -> Any:
    return [_number(each) for each in label] if isinstance(label, list) else whole_number(label)


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
