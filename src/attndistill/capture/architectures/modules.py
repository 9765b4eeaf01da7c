"""What the class of an attention module tells about it."""

import inspect
from collections.abc import Callable
from functools import cache

from torch import nn


def uses_attention_interface(module: nn.Module) -> bool:
    """Whether this module itself hands query and key to Transformers' ``AttentionInterface``."""
    return "ALL_ATTENTION_FUNCTIONS" in attention_forward(module).__code__.co_names


def attention_forward(module: nn.Module) -> Callable:
    """The module's forward as written in its modelling file, decorators removed."""
    return _unwrapped_forward(type(module))  # type: ignore[arg-type]


@cache
def _unwrapped_forward(kind: type[nn.Module]) -> Callable:
    return inspect.unwrap(kind.forward)
