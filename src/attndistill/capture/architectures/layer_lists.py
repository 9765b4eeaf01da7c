"""The lists that a model's transformer layers stand in, and the weights of some of them."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn

from .numbering import attention_layers


class LayerList(NamedTuple):
    """One of a model's lists of layers.

    Attributes:
        path: its path in the model.
        depth: how many layers it has.
    """

    path: str
    depth: int


def layer_path(model: nn.Module, attention: str) -> str:
    """The path of the transformer layer around an attention module.

    It is the item of the outermost ``ModuleList``; without one, the attention module itself.
    """
    parts = attention.split(".")
    for depth in range(1, len(parts)):
        if isinstance(model.get_submodule(".".join(parts[:depth])), nn.ModuleList):
            return ".".join(parts[: depth + 1])
    return attention


def layer_lists(model: nn.Module) -> dict[str, list[LayerList]]:
    """The lists that the layers of each stack stand in: one each, in most models."""
    found: dict[str, list[LayerList]] = {}
    for layer in attention_layers(model):
        path = layer_path(model, layer.name).rpartition(".")[0]
        modules = model.get_submodule(path)
        if not isinstance(modules, nn.ModuleList):
            continue
        lists, own = found.setdefault(layer.stack, []), LayerList(path, len(modules))
        if own not in lists:
            lists.append(own)
    return found


def kept_weights(
    weights: Mapping[str, Tensor], path: str, layers: Sequence[int]
) -> dict[str, Tensor]:
    """The weights without those of the list's other layers; the kept are numbered anew."""
    new_number = {str(old): str(new) for new, old in enumerate(layers)}
    kept = {}
    for name, tensor in weights.items():
        if not name.startswith(f"{path}."):
            kept[name] = tensor
            continue
        number, _, rest = name.removeprefix(f"{path}.").partition(".")
        if number in new_number:
            kept[f"{path}.{new_number[number]}.{rest}"] = tensor
    return kept


def first_layers_own(
    names: Sequence[str], kept: Mapping[str, Tensor], weights: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Weights that only a first layer has, such as T5's position bias: they stay in the first.

    Args:
        names: the weights wanted.
        kept: those that were found among the kept layers.
        weights: those of the whole model.
    """
    return {
        name: weights[name]
        for name in names
        if name not in kept and name in weights and ".0." in name
    }
