"""What an attention function would be called with, put together from the parts of a module."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..ops import AttentionMask


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionCall:
    """What an attention function is called with, as `Recorder.record` takes it.

    Attributes:
        query: [B, Hq, Q, D].
        key: [B, Hk, K, D].
        value: [B, Hk, K, Dv].
        attention_mask: the module's own mask, or the `AttentionMask` it amounts to.
        scaling: factor on query · key.
        position_bias: additive scores [1|B, 1|Hq, Q, K], or None.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    attention_mask: Tensor | AttentionMask | None
    scaling: float
    position_bias: Tensor | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class PartCall:
    """One call of a part of an attention module.

    Attributes:
        inputs: its positional arguments.
        output: what it returned.
    """

    inputs: tuple[Any, ...]
    output: Any


# Part -> its first call in this forward of the module.
PartCalls = Mapping[str, PartCall]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rebuilding:
    """How the attention of one class of modules is put together.

    Attributes:
        parts: names of the submodules and methods that are heard.
        rebuild: (module, arguments of its forward by name, calls of its parts) -> attention call.
        causal: whether it is a decoder's.
        refusal: (module) -> why this one cannot be captured exactly, or None.
    """

    parts: tuple[str, ...]
    rebuild: Callable[[Any, Mapping[str, Any], PartCalls], AttentionCall]
    causal: bool = False
    refusal: Callable[[Any], str | None] = lambda module: None
