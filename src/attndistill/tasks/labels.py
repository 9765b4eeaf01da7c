"""Which class number a label is: the teacher's numbers decide, and names are matched by name."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedConfig

from ..errors import InputError, did_you_mean
from .columns import Table, flattened

DEFAULT_NAME = re.compile(r"LABEL_\d+")


@dataclass(frozen=True, kw_only=True)
class LabelMap:
    """The classes and how the data's labels become their numbers.

    Attributes:
        names: the class names by number.
        numbers: data label → class number.
        note: what was matched how, where that is not obvious.
    """

    names: tuple[str, ...]
    numbers: Mapping[int | str, int]
    note: str | None = None

    def encode(self, table: Table) -> list[Any]:
        """The class numbers of a table's ``label`` column, of lists too.

        Raises:
            InputError: a label that is not among the classes, with its row.
        """
        return [
            [self._number(each, table, row) for each in label]
            if isinstance(label, list)
            else self._number(label, table, row)
            for row, label in enumerate(table.rows["label"])
        ]

    def _number(self, label: int | str, table: Table, row: int) -> int:
        if label not in self.numbers:
            known = ", ".join(str(label) for label in self.numbers)
            raise InputError(
                f"{table.source}, data row {row + 1}: the label {label!r} is unknown"
                f"{did_you_mean(str(label), map(str, self.numbers))}; known labels: {known}"
            )
        return self.numbers[label]


def match_labels(table: Table, config: PreTrainedConfig, *, trained: bool) -> LabelMap:
    """The classes of a task, from the training rows and the teacher.

    Args:
        table: the training rows.
        config: the teacher's.
        trained: whether the teacher will be fine-tuned on these rows: then they decide.

    Raises:
        InputError: see `labels_of_data` and `labels_of_teacher`.
    """
    return (labels_of_data if trained else labels_of_teacher)(table, label_names(config))


def label_names(config: PreTrainedConfig) -> list[str]:
    """The class names of a config in the order of their numbers."""
    return [name for _, name in sorted((config.id2label or {}).items())]


def labels_of_data(table: Table, teacher_names: Sequence[str]) -> LabelMap:
    """The classes of the training data, for a teacher that will be fine-tuned on them.

    They keep the teacher's order where it has exactly these names, else the data's own order, else
    they are sorted.

    Raises:
        InputError: there are fewer than two classes.
    """
    found = _found(table)
    if len(found) < 2:
        raise InputError(
            f"{table.source} needs at least two classes, but every label is {found[0]!r}; "
            "is data.columns.label the label column?"
        )
    if table.label_names is not None:
        return LabelMap(names=table.label_names, numbers=_identity(len(table.label_names)))
    if found == list(range(len(found))):
        names = teacher_names if len(teacher_names) == len(found) else map("LABEL_{}".format, found)
        return LabelMap(names=tuple(names), numbers=_identity(len(found)))
    own_order = [str(label) for label in found]
    same = sorted(teacher_names) == sorted(own_order)
    order = list(teacher_names) if same else own_order
    return LabelMap(names=tuple(order), numbers={label: order.index(str(label)) for label in found})


def labels_of_teacher(table: Table, teacher_names: Sequence[str]) -> LabelMap:
    """The teacher's classes, with the data's labels matched to them.

    Args:
        table: the training rows.
        teacher_names: ``id2label`` in order.

    Raises:
        InputError: the labels cannot be matched to the teacher's.
    """
    names = tuple(teacher_names)
    unnamed = all(DEFAULT_NAME.fullmatch(name) for name in names)
    if table.label_names is not None:
        return _named_numbers(table, names, unnamed)
    found = _found(table)
    if isinstance(found[-1], str):
        if unnamed and not set(found) <= set(names):
            raise InputError(
                f"{table.source} has the labels {_listed(found)}, but the teacher's classes "
                f"have no names ({', '.join(names)}), so which is which is unknown; write the "
                "labels as class numbers, or set id2label in the teacher's config.json"
            )
        return LabelMap(names=names, numbers={name: number for number, name in enumerate(names)})
    if all(name.lstrip("-").isdigit() for name in names) and not unnamed:
        return LabelMap(names=names, numbers={int(name): n for n, name in enumerate(names)})
    return LabelMap(names=names, numbers=_identity(len(names)))


def check_student_labels(student_names: Sequence[str], teacher_names: Sequence[str]) -> None:
    """Refuse a student model that has other classes than its teacher, or another order.

    Raises:
        InputError: naming both lists.
    """
    if all(DEFAULT_NAME.fullmatch(name) for name in student_names):
        return
    if list(student_names) != list(teacher_names):
        same = sorted(student_names) == sorted(teacher_names)
        what = "the same labels in another order" if same else "other labels"
        raise InputError(
            f"student.model has {what} than the teacher: id2label is {list(student_names)}, the "
            f"teacher's is {list(teacher_names)}; give both the same id2label"
        )


def _named_numbers(table: Table, names: tuple[str, ...], unnamed: bool) -> LabelMap:
    """Numbers that the data set names (``ClassLabel``), matched by name."""
    data_names = table.label_names or ()
    if data_names == names:
        return LabelMap(names=names, numbers=_identity(len(names)))
    if unnamed and len(data_names) == len(names):
        note = (
            f"The teacher's classes have no names: taken to be in the data's order "
            f"({', '.join(data_names)})."
        )
        return LabelMap(names=names, numbers=_identity(len(names)), note=note)
    folded = {name.casefold(): number for number, name in enumerate(names)}
    if len(folded) < len(names) or any(name.casefold() not in folded for name in data_names):
        raise InputError(
            f"the labels of {table.source} are {list(data_names)} in this order, but the teacher's "
            f"id2label is {list(names)}: the names cannot be matched; rename the data's labels or "
            "set id2label in the teacher's config.json"
        )
    note = (
        f"Labels matched by name: the data's order is {', '.join(data_names)}, the teacher's is "
        f"{', '.join(names)}."
    )
    matched: dict[int | str, int] = {
        number: folded[name.casefold()] for number, name in enumerate(data_names)
    }
    return LabelMap(names=names, numbers=matched, note=note)


def _identity(count: int) -> dict[int | str, int]:
    return {number: number for number in range(count)}


def _found(table: Table) -> list[int | str]:
    """The labels of a table, each once; numbers first."""
    found = set(flattened(table.rows["label"]))
    if not found:
        raise InputError(f"{table.source} has no label in any row; is data.columns.label right?")
    return sorted(found, key=lambda label: (isinstance(label, str), label))


def _listed(labels: Sequence[int | str]) -> str:
    found = [str(label) for label in labels]
    return ", ".join(found[:5]) + (" …" if len(found) > 5 else "")
