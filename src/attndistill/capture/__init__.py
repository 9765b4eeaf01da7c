"""How queries, keys and values leave a model, under any attention backend."""

from .architectures import AttentionLayer, attention_layers, skipped_parts
from .context import capture
from .record import AttentionRecord

__all__ = [
    "AttentionLayer",
    "AttentionRecord",
    "attention_layers",
    "capture",
    "skipped_parts",
]
