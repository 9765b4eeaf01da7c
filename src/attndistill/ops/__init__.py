"""Distillation losses between attention relations: relation × divergence × backend.

Imports torch only; knows no models.
"""

from .api import attention_divergence, choose_impl, score_mse
from .choice import Choice
from .divergences import Divergence
from .loss_sum import LossSum
from .mask import AttentionMask
from .options import Impl, Masks, Per
from .relation import Relation

__all__ = [
    "AttentionMask",
    "Choice",
    "Divergence",
    "Impl",
    "LossSum",
    "Masks",
    "Per",
    "Relation",
    "attention_divergence",
    "choose_impl",
    "score_mse",
]
