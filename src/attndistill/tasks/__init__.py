"""Tasks: what a model is for, and all that follows: columns, batches, metrics."""

from .causal_lm import CausalLM, ChatColumns, PromptColumns
from .choice import TASKS, task_class
from .classification import Problem, TextClassification, TextColumns
from .features import FeatureExtraction
from .images import ImageClassification, ImageColumns
from .labels import LabelMap, check_student_labels, label_names
from .summarization import Summarization, SummaryColumns
from .table import Table
from .task import PYTHON_ONLY, Data, Split, Task
from .text import RawColumns
from .token_classification import TokenClassification, TokenColumns

__all__ = [
    "PYTHON_ONLY",
    "TASKS",
    "CausalLM",
    "ChatColumns",
    "Data",
    "FeatureExtraction",
    "ImageClassification",
    "ImageColumns",
    "LabelMap",
    "Problem",
    "PromptColumns",
    "RawColumns",
    "Split",
    "Summarization",
    "SummaryColumns",
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
