"""Train a student with Hugging Face's Trainer."""

from .arguments import DistillationArguments
from .checkpoints import latest_complete_checkpoint, list_checkpoints
from .distiller import Distiller
from .stopping import EarlyStopping
from .trainer import DistillationTrainer

__all__ = [
    "DistillationArguments",
    "DistillationTrainer",
    "Distiller",
    "EarlyStopping",
    "latest_complete_checkpoint",
    "list_checkpoints",
]
