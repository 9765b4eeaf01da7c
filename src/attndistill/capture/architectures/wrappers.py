"""Find the model inside what training and adapters wrap around it."""

from typing import Any

from torch import nn
from transformers import PreTrainedModel


def base_model(model: nn.Module) -> nn.Module:
    """Strip the wrappers of distributed training and ``torch.compile``."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and not isinstance(model, PreTrainedModel):
            inner = getattr(model, "module", None)
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def transformers_model(model: nn.Module) -> nn.Module:
    """Strip PEFT's wrapper too; the adapters stay in the model's modules."""
    model = base_model(model)
    find: Any = getattr(model, "get_base_model", None)
    return model if find is None else find()
