"""Attention distillation for transformer models.

The names below load on first use, so that ``import attndistill`` and ``attndistill --help`` stay
light (importing Transformers' Trainer takes seconds).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .objectives import AttentionTerm, LogitsTerm, Objective, RelationTerm, TaskTerm
    from .students import build_student
    from .training import DistillationArguments, DistillationTrainer, Distiller

__version__ = "0.1.0"

_HOME = {
    "AttentionTerm": "objectives",
    "DistillationArguments": "training",
    "DistillationTrainer": "training",
    "Distiller": "training",
    "LogitsTerm": "objectives",
    "Objective": "objectives",
    "RelationTerm": "objectives",
    "TaskTerm": "objectives",
    "build_student": "students",
}
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


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'attndistill' has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
