"""The tasks by their names in recipes."""

from ..errors import InputError, did_you_mean, shown
from .causal_lm import CausalLM
from .feature_extraction import FeatureExtraction
from .image_classification import ImageClassification
from .summarization import Summarization
from .task import Task
from .text_classification import TextClassification
from .token_classification import TokenClassification

TASKS: dict[str, type[Task]] = {
    kind.name: kind
    for kind in (
        TextClassification,
        TokenClassification,
        CausalLM,
        Summarization,
        ImageClassification,
        FeatureExtraction,
    )
}


def task_class(name: object) -> type[Task]:
    """The class of a task.

    Raises:
        InputError: no task has this name.
    """
    if isinstance(name, str) and name in TASKS:
        return TASKS[name]
    hint = did_you_mean(str(name), TASKS)
    raise InputError(f"task is {shown(name)}{hint}; choose {', '.join(TASKS)}")
