"""Train a student with Hugging Face's Trainer."""

from .arguments import DistillationArguments
from .checkpoints import latest_complete_checkpoint
from .trainer import DistillationTrainer

__all__ = ["DistillationArguments", "DistillationTrainer", "latest_complete_checkpoint"]
