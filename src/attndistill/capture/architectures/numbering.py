"""Which attention layers a model has, in which order, and what they are called."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

from torch import nn

from ...errors import InputError
from .modules import uses_attention_interface
from .outside_interface import rebuilding
from .skipped import warn_of_skipped
from .suggestions import supported_instead

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
FULL_ATTENTION = "full_attention"
CROSS_ATTENTION_WORDS = ("crossattention", "encoder_attn", "encdecattention", "cross_attn")


@dataclass(frozen=True, kw_only=True)
class AttentionLayer:
    """One attention layer of a model, numbered from 0 within its stack and kind.

    Attributes:
        stack: ``"encoder"``, ``"decoder"``, ``"text"`` or ``"vision"``.
        kind: ``"self"`` or ``"cross"``.
        layer: its number among the layers of this stack and kind, by position in the model.
        name: the attention module's path in the model.
        type: what its config's ``layer_types`` call it, such as ``"sliding_attention"``; layers of
            a config without them are ``"full_attention"``.
        call: which of the module's calls in a forward is this layer; 0 unless layers share it.
    """

    stack: str
    kind: str
    layer: int
    name: str
    type: str = FULL_ATTENTION
    call: int = 0


def attention_layers(model: nn.Module) -> list[AttentionLayer]:
    """List the attention layers whose queries and keys can be captured, by module position.

    Layers without attention probabilities (linear attention, state spaces) and attention modules
    that cannot be captured are not among them, and a warning names them.

    Raises:
        InputError: no layer of this model can be captured, or one of its modules cannot be
            captured exactly.
    """
    found: Counter[tuple[str, str]] = Counter()
    calls: Counter[str] = Counter()
    layers = []
    for name, module in _in_call_order(model):
        stack, kind = _stack(name, module), _kind(name, module)
        layers.append(
            AttentionLayer(
                stack=stack,
                kind=kind,
                layer=found[stack, kind],
                name=name,
                type=_type(model, name),
                call=calls[name],
            )
        )
        found[stack, kind] += 1
        calls[name] += 1
    if not layers:
        raise InputError(
            f"{type(model).__name__} has no attention that capture can see: neither through "
            "Transformers' AttentionInterface nor in a module whose scores it can rebuild; "
            f"{supported_instead(model)}"
        )
    warn_of_skipped(model, [layer.name for layer in layers])
    return layers


def attention_config(model: nn.Module, layer: AttentionLayer) -> Any:
    """The config that the layer's attention implementation is read from: the nearest one."""
    config = _nearest_config(model, layer.name)
    if config is None:
        raise InputError(f"{type(model).__name__} has no config: give a Transformers model")
    return config


def _nearest_config(model: nn.Module, name: str) -> Any:
    parts = name.split(".")
    for end in range(len(parts), -1, -1):
        config = getattr(model.get_submodule(".".join(parts[:end])), "config", None)
        if config is not None:
            return config
    return None


def _type(model: nn.Module, name: str) -> str:
    """The entry of the config's ``layer_types`` for the layer that a module is in."""
    types = getattr(_nearest_config(model, name), "layer_types", None) or []
    number = next((int(part) for part in name.split(".") if part.isdigit()), len(types))
    return types[number] if number < len(types) else FULL_ATTENTION


def _is_attention(module: nn.Module) -> bool:
    return uses_attention_interface(module) or rebuilding(module) is not None


def _in_call_order(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """The attention modules as a forward calls them."""
    by_position = [(name, part) for name, part in model.named_modules() if _is_attention(part)]
    for part in model.modules():
        if type(part).__name__ == "AlbertTransformer":
            return _albert_calls(part, by_position)
    return by_position


def _albert_calls(
    transformer: Any, modules: list[tuple[str, nn.Module]]
) -> list[tuple[str, nn.Module]]:
    """ALBERT runs each group of layers several times in a row."""
    groups = [
        [(name, module) for name, module in modules if module in set(group.modules())]
        for group in transformer.albert_layer_groups
    ]
    layers = transformer.config.num_hidden_layers
    layers_per_group = layers / len(groups)
    return [call for layer in range(layers) for call in groups[int(layer / layers_per_group)]]


def _stack(name: str, module: nn.Module) -> str:
    word = next((part for part in name.split(".") if part in STACK_WORDS), "encoder")
    rebuilt = rebuilding(module)
    causal = (
        rebuilt.causal
        if rebuilt
        else getattr(module, "is_causal", False) or getattr(module, "is_decoder", False)
    )
    stack = STACK_WORDS[word]
    return "decoder" if stack == "encoder" and causal else stack


def _kind(name: str, module: nn.Module) -> str:
    named_so = any(word in name.lower() for word in CROSS_ATTENTION_WORDS)
    return "cross" if named_so or "CrossAttention" in type(module).__name__ else "self"
