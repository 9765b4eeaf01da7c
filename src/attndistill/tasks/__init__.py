"""Tasks: what a model is for, and all that follows: columns, batches, metrics."""

from .choice import TASKS, task_class
from .classification import Problem, TextClassification, TextColumns
from .labels import LabelMap, check_student_labels, label_names
from .table import Table
from .task import PYTHON_ONLY, Data, Split, Task
from .token_classification import TokenClassification, TokenColumns

__all__ = [
    "PYTHON_ONLY",
    "TASKS",
    "Data",
    "LabelMap",
    "Problem",
    "Split",
    "Table",
    "Task",
    "TextClassification",
    "TextColumns",
    "TokenClassification",
    "TokenColumns",
    "check_student_labels",
    "label_names",
    "task_class",
]
