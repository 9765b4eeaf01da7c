"""Which class a task's name in a recipe stands for: the one place."""

from ..errors import InputError, did_you_mean, shown
from .causal_lm import CausalLM
from .feature_extraction import FeatureExtraction
from .image_classification import ImageClassification
from .summarization import Summarization
from .task import Task
from .text_classification import TextClassification
from .token_classification import TokenClassification

TASKS = (
    "classification",
    "token-classification",
    "causal-lm",
    "summarization",
    "image-classification",
    "feature-extraction",
)


def task_class(name: object) -> type[Task]:
    """The class of a task.

    Raises:
        InputError: there is none of this name.
    """
    match name:
        case "classification":
            return TextClassification
        case "token-classification":
            return TokenClassification
        case "causal-lm":
            return CausalLM
        case "summarization":
            return Summarization
        case "image-classification":
            return ImageClassification
        case "feature-extraction":
            return FeatureExtraction
        case _:
            hint = did_you_mean(str(name), TASKS)
            raise InputError(f"task is {shown(name)}{hint}; choose {', '.join(TASKS)}")
