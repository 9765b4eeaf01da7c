"""All that is specific to architectures: where attention sits in a model and what to call it."""

from .layers import AttentionLayer, attention_config, attention_layers, base_model, depth
from .modules import attention_forward, uses_attention_interface

__all__ = [
    "AttentionLayer",
    "attention_config",
    "attention_forward",
    "attention_layers",
    "base_model",
    "depth",
    "uses_attention_interface",
]
