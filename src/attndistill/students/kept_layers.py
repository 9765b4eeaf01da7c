"""Students that are some of the teacher's layers, with its weights."""

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..capture.architectures import (
    LayerList,
    first_layers_own,
    keep_config_layers,
    kept_weights,
    layer_lists,
)
from ..errors import InputError
from .construction import construct, one_line

KeepLayers = Sequence[int] | Mapping[str, Sequence[int]]


def shallower(teacher: PreTrainedModel, keep_layers: KeepLayers) -> PreTrainedModel:
    """The teacher with these of its layers only, in new memory; see `build_student`."""
    _check_copyable(teacher)
    lists = _one_list_per_stack(teacher)
    keep = _by_stack(teacher, lists, keep_layers)
    config = copy.deepcopy(teacher.config)
    # In an encoder–decoder such as LongT5 only one stack may be captured.
    several = len(lists) > 1 or bool(config.is_encoder_decoder)
    for stack, layers in keep.items():
        keep_config_layers(config, stack if several else None, layers)
    with torch.random.fork_rng(devices=[]):
        student = construct(teacher, config)
    whole: Mapping[str, Tensor] = teacher.state_dict()
    weights = whole
    for stack, layers in keep.items():
        weights = kept_weights(weights, lists[stack].path, layers)
    own = first_layers_own(list(student.state_dict()), weights, whole)
    try:
        student.load_state_dict({**weights, **own})
    except RuntimeError as error:
        # ModernBERT's first layer has no norm before its attention: another cannot take its place.
        raise InputError(
            f"the layers {keep_layers} of {type(teacher).__name__} do not fit where the student "
            f"has them; keep layer 0 too, or build the student from a config ({one_line(error)})"
        ) from error
    return student


def _check_copyable(teacher: PreTrainedModel) -> None:
    quantized = getattr(teacher, "is_quantized", False)
    if quantized or any(weight.device.type == "meta" for weight in teacher.parameters()):
        state = "quantized" if quantized else "offloaded"
        option = "quantization_config" if quantized else "device_map"
        raise InputError(
            f"keep_layers copies the teacher's weights, but those of this {type(teacher).__name__} "
            f"are {state}: load the model once more without {option} to build the student from it, "
            "or build the student from a config"
        )


def _one_list_per_stack(teacher: PreTrainedModel) -> dict[str, LayerList]:
    found = layer_lists(teacher)
    if not found or any(len(lists) > 1 for lists in found.values()):
        paths = sorted(each.path for lists in found.values() for each in lists)
        raise InputError(
            f"keep_layers needs one list of layers for each stack, but {type(teacher).__name__} "
            f"has {', '.join(paths) or 'none'}; build the student from a config"
        )
    return {stack: lists[0] for stack, lists in found.items()}


def _by_stack(
    teacher: PreTrainedModel, lists: Mapping[str, LayerList], keep_layers: KeepLayers
) -> dict[str, list[int]]:
    """The layers to keep of every stack."""
    if isinstance(keep_layers, Mapping):
        keep = {stack: list(layers) for stack, layers in keep_layers.items()}
    elif len(lists) == 1:
        keep = {next(iter(lists)): list(keep_layers)}
    else:
        example = ", ".join(f"{stack}: [0, …]" for stack in lists)
        raise InputError(
            f"{type(teacher).__name__} has the stacks {', '.join(lists)}: say which layers of "
            f"each to keep, as in {{{example}}}"
        )
    for stack, layers in keep.items():
        if stack not in lists:
            raise InputError(
                f"{type(teacher).__name__} has no stack {stack!r}, only {', '.join(lists)}: those "
                "whose attention can be captured"
            )
        depth = lists[stack].depth
        if not layers or sorted(set(layers)) != layers or not set(layers) <= set(range(depth)):
            where = f" of the {stack}" if len(lists) > 1 else ""
            raise InputError(
                f"keep_layers must be ascending layer numbers from 0 to {depth - 1} (the teacher "
                f"has {depth} layers{where}), each once; got {layers}"
            )
    return keep
