"""How large a model is: its parameters by where they are, and its weights on disk."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from ..capture import attention_layers
from ..capture.architectures import layer_path
from ..errors import InputError

WEIGHT_FILES = "*.safetensors"


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """Parameter counts; shared parameters count once.

    Attributes:
        total: of the whole model.
        embedding: of embedding tables outside the transformer layers.
        layers: of the transformer layers.
    """

    total: int
    embedding: int
    layers: int


def transformer_layers(model: nn.Module) -> dict[str, nn.Module]:
    """The transformer layers by their path: attention, feed-forward and norms together.

    A layer is the item of the outermost ``ModuleList`` around an attention module; where there is
    none, the attention module itself.
    """
    names = [layer_path(model, layer.name) for layer in attention_layers(model)]
    return {name: model.get_submodule(name) for name in dict.fromkeys(names)}


def count_parameters(model: nn.Module) -> Parameters:
    """Count a model's parameters by where they are."""
    layers = transformer_layers(model).values()
    in_layers = {id(parameter) for layer in layers for parameter in layer.parameters()}
    tables = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
    return Parameters(
        total=_count(model.parameters()),
        embedding=_count(table for table in tables if id(table) not in in_layers),
        layers=_count(parameter for layer in layers for parameter in layer.parameters()),
    )


def weight_bytes(folder: Path) -> int:
    """Bytes of the weight files in a saved model's folder.

    Raises:
        InputError: there are none.
    """
    sizes = [path.stat().st_size for path in Path(folder).glob(WEIGHT_FILES)]
    if not sizes:
        raise InputError(
            f"{folder} holds no weights ({WEIGHT_FILES}): give the folder of a model saved with "
            "save_pretrained"
        )
    return sum(sizes)


def _count(parameters: Iterable[Tensor]) -> int:
    return sum({id(parameter): parameter.numel() for parameter in parameters}.values())
