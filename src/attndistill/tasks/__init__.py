"""Tasks: what a model is for, and what follows from it: columns, batches, metrics."""

from .causal_lm import CausalLM, ChatColumns, PromptColumns
from .choice import TASKS, task_class
from .columns import Table
from .encoded import Data, Split
from .feature_extraction import FeatureExtraction
from .image_classification import ImageClassification, ImageColumns
from .labels import LabelMap, check_student_labels, label_names
from .problem_types import ProblemType
from .summarization import Summarization, SummaryColumns
from .task import Task
from .text import RawColumns
from .text_classification import TextClassification, TextColumns
from .token_classification import TokenClassification, TokenColumns

__all__ = [
    "TASKS",
    "CausalLM",
    "ChatColumns",
    "Data",
    "FeatureExtraction",
    "ImageClassification",
    "ImageColumns",
    "LabelMap",
    "ProblemType",
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
