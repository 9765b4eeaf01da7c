"""Attention distillation for transformer models.

The names below load on first use, so that ``import attndistill`` and ``attndistill --help`` stay
light (importing Transformers' Trainer takes seconds).
"""

from typing import TYPE_CHECKING

from .lazy import lazy_names

if TYPE_CHECKING:
    from .objectives import AttentionTerm, LogitsTerm, Objective, RelationTerm, TaskTerm
    from .students import build_student
    from .training import DistillationArguments, DistillationTrainer, Distiller

__version__ = "0.1.0"
__all__ = [
    "AttentionTerm",
    "DistillationArguments",
    "DistillationTrainer",
    "Distiller",
    "LogitsTerm",
    "Objective",
    "RelationTerm",
    "TaskTerm",
    "build_student",
]

__getattr__ = lazy_names(
    __name__,
    {
        "AttentionTerm": "objectives",
        "DistillationArguments": "training",
        "DistillationTrainer": "training",
        "Distiller": "training",
        "LogitsTerm": "objectives",
        "Objective": "objectives",
        "RelationTerm": "objectives",
        "TaskTerm": "objectives",
        "build_student": "students",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
