"""Which tasks a recipe may name, and which of them run."""

from typing import Any

from ..errors import InputError
from .checking import choose

TASKS = (
    "classification",
    "token-classification",
    "causal-lm",
    "summarization",
    "image-classification",
)
TASKS_THAT_RUN = ("classification",)


def read_task(raw: Any) -> str:
    """The task, if it can be run.

    Raises:
        InputError: it is unknown, or known and not built yet.
    """
    task = choose(raw, TASKS, "task")
    if task not in TASKS_THAT_RUN:
        raise InputError(
            f"task {task!r} cannot be run yet; what works: {', '.join(TASKS_THAT_RUN)} (of text)"
        )
    return task
