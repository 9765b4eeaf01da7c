"""Students built from a teacher: some of its layers kept, or a smaller config of its kind."""

import copy
import difflib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedConfig, PreTrainedModel

from ..capture import attention_layers
from ..errors import InputError

# What teacher and student must share for their logits and token ids to mean the same.
TEACHERS_OWN = {
    "architectures",
    "dtype",
    "id2label",
    "label2id",
    "model_type",
    "num_labels",
    "output_attentions",
    "output_hidden_states",
    "problem_type",
    "return_dict",
    "vocab_size",
}


# The config fields for the depth of an encoder–decoder's stacks: BART's and its kin, T5's.
DEPTH_FIELDS = {
    "encoder": ("encoder_layers", "num_layers"),
    "decoder": ("decoder_layers", "num_decoder_layers"),
}
KeepLayers = Sequence[int] | Mapping[str, Sequence[int]]


def build_student(
    teacher: PreTrainedModel,
    *,
    keep_layers: KeepLayers | None = None,
    config: Mapping[str, Any] | None = None,
) -> PreTrainedModel:
    """Make a student of the teacher's own class.

    Args:
        teacher: the model to learn from; it is not changed.
        keep_layers: 0-based numbers of the teacher's layers to keep, ascending: the student has
            these layers and all that is outside the layers, with the teacher's weights copied
            (Sanh et al. 2019; Shleifer & Rush 2020). For an encoder–decoder by stack, as in
            ``{"decoder": [0, 5, 11]}``; a stack that is not named keeps all its layers.
        config: fields of the teacher's config to change, such as ``{"num_hidden_layers": 2,
            "hidden_size": 192}``: the student's weights are fresh, drawn from torch's global
            generator. Vocabulary and labels stay the teacher's.

    Returns:
        The student, in the teacher's dtype, on the CPU, in training mode. Of a quantized teacher
        it is a plain one, in the dtype of what is not quantized.

    Raises:
        InputError: not exactly one of the two, a layer out of range, weights that cannot be
            copied, or a config that the architecture does not have or cannot be built.
    """
    if (keep_layers is None) == (config is None):
        raise InputError("build_student takes one of keep_layers or config, and not both")
    if keep_layers is not None:
        _check_copyable(teacher)
        return _shallower(teacher, keep_layers)
    assert config is not None
    return _construct(teacher, _changed_config(teacher.config, config))


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


def _shallower(teacher: PreTrainedModel, keep_layers: KeepLayers) -> PreTrainedModel:
    stacks = _stacks(teacher)
    keep = _by_stack(teacher, stacks, keep_layers)
    config = copy.deepcopy(teacher.config)
    # Of an encoder–decoder such as LongT5 one stack alone may be captured.
    several = len(stacks) > 1 or bool(config.is_encoder_decoder)
    for stack, layers in keep.items():
        _set_layers(config, stack if several else None, layers)
    with torch.random.fork_rng(devices=[]):
        student = _construct(teacher, config)
    weights: Mapping[str, Tensor] = teacher.state_dict()
    for stack, layers in keep.items():
        weights = _kept_weights(weights, stacks[stack].prefix, layers)
    try:
        student.load_state_dict(_with_first_layers_own(student, weights, teacher.state_dict()))
    except RuntimeError as error:
        # ModernBERT's first layer has no norm before its attention: another cannot take its place.
        raise InputError(
            f"the layers {keep_layers} of {type(teacher).__name__} do not fit where the student "
            f"has them; keep layer 0 too, or build the student from a config ({_reason(error)})"
        ) from error
    return student


class _Stack(NamedTuple):
    """A model's list of layers: its path with a trailing dot, and its length."""

    prefix: str
    depth: int


def _stacks(model: PreTrainedModel) -> dict[str, _Stack]:
    """The model's lists of layers by the name of their stack.

    Raises:
        InputError: layers of one stack are in several lists, or in none.
    """
    found: dict[str, set[_Stack]] = {}
    for layer in attention_layers(model):
        parts = layer.name.split(".")
        prefixes = [".".join(parts[:n]) for n, part in enumerate(parts) if part.isdigit()]
        for prefix in prefixes:
            modules = model.get_submodule(prefix)
            if isinstance(modules, nn.ModuleList):
                found.setdefault(layer.stack, set()).add(_Stack(prefix + ".", len(modules)))
                break
    if not found or any(len(lists) > 1 for lists in found.values()):
        paths = sorted(each.prefix for lists in found.values() for each in lists)
        raise InputError(
            f"keep_layers needs one list of layers for each stack, but {type(model).__name__} has "
            f"{', '.join(paths) or 'none'}; build the student from a config"
        )
    return {stack: lists.pop() for stack, lists in found.items()}


def _by_stack(
    teacher: PreTrainedModel, stacks: Mapping[str, _Stack], keep_layers: KeepLayers
) -> dict[str, list[int]]:
    """The layers to keep of every stack."""
    if isinstance(keep_layers, Mapping):
        keep = {stack: list(layers) for stack, layers in keep_layers.items()}
    elif len(stacks) == 1:
        keep = {next(iter(stacks)): list(keep_layers)}
    else:
        example = ", ".join(f"{stack}: [0, …]" for stack in stacks)
        raise InputError(
            f"{type(teacher).__name__} has the stacks {', '.join(stacks)}: say which layers of "
            f"each to keep, as in {{{example}}}"
        )
    for stack, layers in keep.items():
        if stack not in stacks:
            raise InputError(
                f"{type(teacher).__name__} has no stack {stack!r}, only {', '.join(stacks)}: those "
                "whose attention can be captured"
            )
        depth = stacks[stack].depth
        if not layers or sorted(set(layers)) != layers or not set(layers) <= set(range(depth)):
            where = f" of the {stack}" if len(stacks) > 1 else ""
            raise InputError(
                f"keep_layers must be ascending layer numbers from 0 to {depth - 1} (the teacher "
                f"has {depth} layers{where}), each once; got {layers}"
            )
    return keep


def _set_layers(config: PreTrainedConfig, stack: str | None, layers: Sequence[int]) -> None:
    """Say which layers there are; in an encoder–decoder's config of one stack."""
    part: PreTrainedConfig = config
    names: tuple[str, ...] = ("num_hidden_layers",)
    if stack and isinstance(getattr(config, stack, None), PreTrainedConfig):
        part = getattr(config, stack)
    elif stack:
        names = tuple(name for name in DEPTH_FIELDS.get(stack, ()) if name in config.to_dict())
    if not names:
        raise InputError(
            f"{type(config).__name__} has no known field for the depth of its {stack}: build the "
            "student from a config"
        )
    types = getattr(part, "layer_types", None)
    setattr(part, names[0], len(layers))
    if types:
        _set_types(part, [types[layer] for layer in layers])


def _set_types(config: PreTrainedConfig, types: Sequence[str]) -> None:
    """Say of which type each layer is; some configs (Jamba, Bamba) tell it by its number alone."""
    try:
        config.layer_types = types
    except AttributeError as error:
        theirs = list(config.layer_types)
        if theirs != types:
            raise InputError(
                f"{type(config).__name__} tells a layer's type by its number: {len(types)} layers "
                f"are {', '.join(theirs)}, but those kept are {', '.join(types)}; keep layers of "
                "these types in this order, or build the student from a config"
            ) from error


def _kept_weights(
    weights: Mapping[str, Tensor], prefix: str, keep: Sequence[int]
) -> dict[str, Tensor]:
    new_number = {str(old): str(new) for new, old in enumerate(keep)}
    kept = {}
    for name, tensor in weights.items():
        if not name.startswith(prefix):
            kept[name] = tensor
            continue
        number, _, rest = name.removeprefix(prefix).partition(".")
        if number in new_number:
            kept[f"{prefix}{new_number[number]}.{rest}"] = tensor
    return kept


def _with_first_layers_own(
    student: PreTrainedModel, kept: Mapping[str, Tensor], teacher: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """What only a first layer has, such as T5's position bias, stays in the first layer."""
    own = {
        name: teacher[name]
        for name in student.state_dict()
        if name not in kept and name in teacher and ".0." in name
    }
    return {**kept, **own}


def _changed_config(config: PreTrainedConfig, changes: Mapping[str, Any]) -> PreTrainedConfig:
    config = copy.deepcopy(config)
    known = {*config.to_dict(), *config.attribute_map}
    for name, value in changes.items():
        if name in TEACHERS_OWN and value != getattr(config, name, None):
            raise InputError(
                f"the student's {name} cannot be {value!r}: the student has the teacher's "
                f"vocabulary, labels and outputs; leave {name} out"
            )
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InputError(f"{type(config).__name__} has no field {name!r}{hint}")
        try:
            setattr(config, name, value)
        except Exception as error:  # noqa: BLE001 - Transformers' checks have no common base
            raise InputError(
                f"{type(config).__name__}.{name} cannot be {value!r}: {_reason(error)}"
            ) from error
    _check_depth(config, types_given="layer_types" in changes)
    _check_head_width(config)
    return config


def _check_depth(config: PreTrainedConfig, *, types_given: bool) -> None:
    """Refuse an impossible number of layers; a shallower student has the first layers' types."""
    depth = getattr(config, "num_hidden_layers", 1)
    if type(depth) is not int or depth < 1:
        raise InputError(f"num_hidden_layers must be at least 1, not {depth!r}")
    types = getattr(config, "layer_types", None)
    if types and (types_given or len(types) < depth) and len(types) != depth:
        raise InputError(
            f"layer_types names {len(types)} layers, but num_hidden_layers is {depth}: give "
            "layer_types with one type per layer"
        )
    if types and len(types) > depth:
        config.layer_types = types[:depth]


def _check_head_width(config: PreTrainedConfig) -> None:
    width, heads = (getattr(config, name, None) for name in ("hidden_size", "num_attention_heads"))
    if width and heads and not getattr(config, "head_dim", None) and width % heads:
        raise InputError(
            f"hidden_size {width} is not a multiple of num_attention_heads {heads}, so no student "
            "can be built from this config: change one of them"
        )


def _construct(teacher: PreTrainedModel, config: PreTrainedConfig) -> PreTrainedModel:
    config.__dict__.pop("quantization_config", None)
    try:
        student = type(teacher)(config)
        student.to(teacher.dtype)  # type: ignore[arg-type]
        # As save_pretrained does, which is too late.
        config.validate()
    except Exception as error:  # noqa: BLE001 - whatever the architecture trips over
        raise InputError(
            f"no {type(teacher).__name__} can be built from this student config: {_reason(error)}"
        ) from error
    if teacher.can_generate():
        student.generation_config = copy.deepcopy(teacher.generation_config)
    return student.train()


def _reason(error: Exception) -> str:
    """The error on one line, with its type: some of them say little else."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
