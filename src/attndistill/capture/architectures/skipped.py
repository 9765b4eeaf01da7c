"""Say which parts of a model are not captured."""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from torch import nn

# Entries of a config's layer_types that have no softmax over keys.
TYPES_WITHOUT_ATTENTION = ("linear_attention", "recurrent", "conv", "moe", "mlp")


# One place for all of them, so that Python shows each message once.
_SHOWN: dict[str | tuple[str, type[Warning], int], int] = {}


def warn_of_skipped(model: nn.Module, captured: Sequence[str]) -> None:
    """Warn of what `skipped_parts` says; each message is shown once in a process."""
    for message in skipped_parts(model, captured):
        warnings.warn_explicit(message, UserWarning, __package__, 0, registry=_SHOWN)


def skipped_parts(model: nn.Module, captured: Sequence[str]) -> Iterator[str]:
    """Say which layers have no attention probabilities, and which attention is not captured.

    Args:
        model: the model.
        captured: the paths of the attention modules that are captured.
    """
    configs = {id(part.config): part.config for part in model.modules() if hasattr(part, "config")}
    for config in configs.values():
        layers = ", ".join(f"{n} ({kind})" for n, kind in _without_attention(config).items())
        if layers:
            yield (
                f"{type(model).__name__}: layers {layers} have no attention probabilities and are "
                "skipped; attention layers are numbered without them"
            )
    modules = ", ".join(_attention_besides(model, [*captured, *_skipped_paths(model)]))
    if modules:
        yield (
            f"{type(model).__name__}: {modules} compute attention outside Transformers' "
            "AttentionInterface and are not captured"
        )


def _without_attention(config: Any) -> dict[int, str]:
    """The layers of a config's stack that have no softmax over keys, with their types."""
    types = getattr(config, "layer_types", None) or []
    return {n: kind for n, kind in enumerate(types) if kind in TYPES_WITHOUT_ATTENTION}


def _skipped_paths(model: nn.Module) -> Iterator[str]:
    """The paths of those layers: their modules may be called attention, though it is linear."""
    for path, part in model.named_modules():
        config = getattr(part, "config", None)
        depth = len(getattr(config, "layer_types", None) or [])
        for name, layers in part.named_children():
            if isinstance(layers, nn.ModuleList) and len(layers) == depth:
                yield from (
                    f"{path}.{name}.{n}".removeprefix(".") for n in _without_attention(config)
                )


def _attention_besides(model: nn.Module, known: Sequence[str]) -> list[str]:
    """The outermost modules called attention that are not in a known one and hold none."""
    found: list[str] = []
    for name, module in model.named_modules():
        if "Attention" in type(module).__name__ and not any(
            own == name or own.startswith(f"{name}.") or name.startswith(f"{own}.")
            for own in (*known, *found)
        ):
            found.append(name)
    return found
