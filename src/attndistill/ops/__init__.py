"""The mathematics: relations, divergences, backends. Needs torch alone; knows no models."""

from .api import attention_divergence, score_mse
from .loss_sum import LossSum
from .mask import AttentionMask
from .relation import Relation

__all__ = ["AttentionMask", "LossSum", "Relation", "attention_divergence", "score_mse"]
