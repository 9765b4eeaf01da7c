"""Train a student with Hugging Face's Trainer."""

from .arguments import DistillationArguments
from .checkpoints import latest_complete_checkpoint
from .distiller import Distiller
from .trainer import DistillationTrainer

__all__ = [
    "DistillationArguments",
    "DistillationTrainer",
    "Distiller",
    "latest_complete_checkpoint",
]
