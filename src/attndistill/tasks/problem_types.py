"""What follows from the problem type of a text classifier: one class, a set of labels, a number."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..choices import Option
from ..errors import InputError, data_rows
from ..metrics import assess_classes, assess_label_sets, assess_values
from ..objectives import LogitsTerm, Term
from ..objectives.label_set_and_value_terms import LabelSetTerm, ValueTerm
from .columns import Table, check_classes, check_given, check_lists, number_classes
from .labels import LabelMap
from .task import Scorer


class ProblemType(Option):
    """What a classifier says of a text, by Transformers' own names."""

    ONE_CLASS = "single_label_classification"
    LABEL_SET = "multi_label_classification"
    NUMBER = "regression"


@dataclass(frozen=True, kw_only=True)
class ProblemTraits:
    """What follows from a problem type.

    Attributes:
        selection: see `Task.selection`.
        logits_term: compares one distribution over classes, one for each label, or numbers.
        check: refuses labels of another kind; takes the labels, their column and its source.
        read: the tables of all splits with their labels converted.
        encode: a table's labels as models take them.
        assess: scores logits [N, C], or numbers [N], by labels.
    """

    selection: Mapping[str, bool]
    logits_term: type[Term]
    check: Callable[[Sequence[Any], str, str], None]
    read: Callable[[Mapping[str, Table]], dict[str, Table]]
    encode: Callable[[Table, LabelMap | None], list[Any]]
    assess: Scorer


def check_numbers(values: Sequence[Any], column: str, source: str) -> None:
    """Refuse labels that are not finite numbers.

    Raises:
        InputError: naming the row.
    """
    check_given(values, column, source)
    for row, value in enumerate(values):
        try:
            finite = np.isfinite(float(value))
        except (TypeError, ValueError):
            finite = False
        if not finite:
            raise InputError(
                f"{source}: column {column!r} must hold a finite number, but {data_rows([row])} "
                f"holds {value!r}"
            )


def _as_numbers(tables: Mapping[str, Table]) -> dict[str, Table]:
    return {
        split: table.with_labels([float(label) for label in table.column("label")])
        for split, table in tables.items()
    }


def _class_numbers(table: Table, labels: LabelMap | None) -> list[int]:
    assert labels is not None, "one of several classes"
    return labels.encode(table)


def _class_indicators(table: Table, labels: LabelMap | None) -> list[list[float]]:
    assert labels is not None, "some of several classes"
    classes = range(len(labels.names))
    return [[float(number in row) for number in classes] for row in labels.encode(table)]


TRAITS = {
    ProblemType.ONE_CLASS: ProblemTraits(
        selection={"accuracy": True, "macro_f1": True},
        logits_term=LogitsTerm,
        check=check_classes,
        read=number_classes,
        encode=_class_numbers,
        assess=assess_classes,
    ),
    ProblemType.LABEL_SET: ProblemTraits(
        selection={"micro_f1": True, "macro_f1": True},
        logits_term=LabelSetTerm,
        check=partial(check_lists, what="a list of labels"),
        read=number_classes,
        encode=_class_indicators,
        assess=assess_label_sets,
    ),
    ProblemType.NUMBER: ProblemTraits(
        selection={"rmse": False, "pearson_correlation": True},
        logits_term=ValueTerm,
        check=check_numbers,
        read=_as_numbers,
        encode=lambda table, labels: table.column("label"),
        assess=assess_values,
    ),
}
