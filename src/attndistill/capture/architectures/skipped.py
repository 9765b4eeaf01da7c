"""Say which parts of a model are not captured."""

import warnings
from collections.abc import Iterable, Sequence

from torch import nn

# Entries of a config's layer_types that have no softmax over keys.
TYPES_WITHOUT_ATTENTION = ("linear_attention", "recurrent", "conv", "moe")


def warn_of_skipped(model: nn.Module, captured: Sequence[str]) -> None:
    """Warn of layers without attention probabilities, and of attention that is not captured.

    Args:
        model: the model.
        captured: the paths of the attention modules that are captured.
    """
    for layers in _layers_without_attention(model):
        _warn(
            f"{type(model).__name__}: layers {layers} have no attention probabilities and are "
            "skipped; attention layers are numbered without them"
        )
    modules = ", ".join(_attention_besides(model, captured))
    if modules:
        _warn(
            f"{type(model).__name__}: {modules} compute attention outside Transformers' "
            "AttentionInterface and are not captured"
        )


def _layers_without_attention(model: nn.Module) -> Iterable[str]:
    configs = {id(part.config): part.config for part in model.modules() if hasattr(part, "config")}
    for config in configs.values():
        types = getattr(config, "layer_types", None) or []
        skipped = [n for n, kind in enumerate(types) if kind in TYPES_WITHOUT_ATTENTION]
        if skipped:
            yield ", ".join(f"{number} ({types[number]})" for number in skipped)


def _attention_besides(model: nn.Module, captured: Sequence[str]) -> list[str]:
    """The outermost modules called attention that neither are in, nor hold, a captured one."""
    found: list[str] = []
    for name, module in model.named_modules():
        if "Attention" in type(module).__name__ and not any(
            own == name or own.startswith(f"{name}.") or name.startswith(f"{own}.")
            for own in (*captured, *found)
        ):
            found.append(name)
    return found


def _warn(message: str) -> None:
    # Attributed to the caller of attention_layers.
    warnings.warn(message, stacklevel=4)
