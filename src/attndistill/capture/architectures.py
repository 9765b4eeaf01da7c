"""The one table of architecture specifics: where attention sits in a model and what to call it."""

import inspect
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from torch import nn
from transformers import PreTrainedModel

from ..errors import InputError

# The first of these words in a module's path names its stack; without one the stack is the
# decoder's where attention is causal, else the encoder's.
STACK_WORDS = {
    "encoder": "encoder",
    "decoder": "decoder",
    "vision_model": "vision",
    "vision_tower": "vision",
    "visual": "vision",
    "text_model": "text",
}
CROSS_ATTENTION_WORDS = ("crossattention", "encoder_attn", "encdecattention", "cross_attn")
SUPPORTED_EXAMPLES = "BERT, RoBERTa, DistilBERT, ELECTRA, ModernBERT"


@dataclass(frozen=True, kw_only=True)
class AttentionLayer:
    """One attention layer of a model, numbered from 0 within its stack and kind.

    Attributes:
        stack: ``"encoder"``, ``"decoder"``, ``"text"`` or ``"vision"``.
        kind: ``"self"`` or ``"cross"``.
        layer: its number among the layers of this stack and kind, by position in the model.
        name: the attention module's path in the model.
    """

    stack: str
    kind: str
    layer: int
    name: str


def attention_layers(model: nn.Module) -> list[AttentionLayer]:
    """List the attention layers whose queries and keys can be captured, by module position.

    A module counts when its forward dispatches through Transformers' ``AttentionInterface``: that
    is where `capture` listens, whichever backend is in use.

    Raises:
        InputError: no layer of this model does.
    """
    found: Counter[tuple[str, str]] = Counter()
    layers = []
    for name, module in model.named_modules():
        if not uses_attention_interface(module):
            continue
        stack, kind = _stack(name, module), _kind(name, module)
        layers.append(AttentionLayer(stack=stack, kind=kind, layer=found[stack, kind], name=name))
        found[stack, kind] += 1
    if not layers:
        raise InputError(
            f"{type(model).__name__} computes attention outside Transformers' AttentionInterface, "
            "so its queries and keys cannot be captured; use a model of a family that does, "
            f"such as {SUPPORTED_EXAMPLES}"
        )
    return layers


def depth(model: nn.Module) -> int:
    """The number of attention layers of a model that has one stack of self-attention.

    Raises:
        InputError: it has several stacks or cross-attention, whose layers a single layer map
            cannot tell apart; or see `attention_layers`.
    """
    layers = attention_layers(model)
    groups = sorted({f"{layer.stack} {layer.kind}-attention" for layer in layers})
    if len(groups) > 1:
        raise InputError(
            f"{type(model).__name__} has {', '.join(groups)}: a layer map pairs the layers of one "
            f"stack of self-attention; use an encoder such as {SUPPORTED_EXAMPLES}"
        )
    return len(layers)


def base_model(model: nn.Module) -> nn.Module:
    """Strip the wrappers of distributed training and ``torch.compile``."""
    while True:
        inner = getattr(model, "_orig_mod", None)
        if inner is None and not isinstance(model, PreTrainedModel):
            inner = getattr(model, "module", None)
        if not isinstance(inner, nn.Module):
            return model
        model = inner


def uses_attention_interface(module: nn.Module) -> bool:
    """Whether this module itself hands query and key to the ``AttentionInterface``."""
    return "ALL_ATTENTION_FUNCTIONS" in attention_forward(module).__code__.co_names


def attention_forward(module: nn.Module) -> Callable:
    """The module's forward as written in its modelling file, decorators removed."""
    return _unwrapped_forward(type(module))  # type: ignore[arg-type]


@cache
def _unwrapped_forward(kind: type[nn.Module]) -> Callable:
    return inspect.unwrap(kind.forward)


def _stack(name: str, module: nn.Module) -> str:
    word = next((part for part in name.split(".") if part in STACK_WORDS), "encoder")
    causal = getattr(module, "is_causal", False) or getattr(module, "is_decoder", False)
    stack = STACK_WORDS[word]
    return "decoder" if stack == "encoder" and causal else stack


def _kind(name: str, module: nn.Module) -> str:
    named_so = any(word in name.lower() for word in CROSS_ATTENTION_WORDS)
    return "cross" if named_so or "CrossAttention" in type(module).__name__ else "self"
