"""All that is specific to architectures: where attention sits in a model and what to call it."""

from .modules import attention_forward, uses_attention_interface
from .numbering import AttentionLayer, attention_config, attention_layers, base_model, depth
from .outside_interface import PartCall, rebuilding
from .skipped import skipped_parts

__all__ = [
    "AttentionLayer",
    "PartCall",
    "attention_config",
    "attention_forward",
    "attention_layers",
    "base_model",
    "depth",
    "rebuilding",
    "skipped_parts",
    "uses_attention_interface",
]
