"""Distillation losses between attention relations: relation × divergence × backend.

Imports torch only, and has nothing specific to a model.
"""

from .api import attention_divergence, score_mse
from .divergences import Divergence
from .loss_sum import LossSum
from .mask import AttentionMask
from .options import Impl, Masks, Per
from .relation import Relation

__all__ = [
    "AttentionMask",
    "Divergence",
    "Impl",
    "LossSum",
    "Masks",
    "Per",
    "Relation",
    "attention_divergence",
    "score_mse",
]
