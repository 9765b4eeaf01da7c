"""Where a config says how many layers there are, of which types, and how wide."""

from collections.abc import Container, Sequence

from transformers import PreTrainedConfig

from ...errors import InputError

# The config fields for the depth of an encoder–decoder's stacks: BART's and its kin, T5's.
DEPTH_FIELDS = {
    "encoder": ("encoder_layers", "num_layers"),
    "decoder": ("decoder_layers", "num_decoder_layers"),
}


def keep_config_layers(config: PreTrainedConfig, stack: str | None, layers: Sequence[int]) -> None:
    """Make a config that of a model with these layers only.

    Args:
        config: the whole model's; it is changed.
        stack: the stack to change in a model of several, else None.
        layers: numbers of the layers kept.
    """
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


def fit_layer_types(config: PreTrainedConfig, *, changed: Container[str]) -> None:
    """Refuse an impossible number of layers; a shallower model has the first layers' types.

    Args:
        config: a config whose depth was changed; its ``layer_types`` are shortened to it.
        changed: the fields that were changed; ``layer_types`` among them are not shortened.
    """
    depth = getattr(config, "num_hidden_layers", 1)
    if type(depth) is not int or depth < 1:
        raise InputError(f"num_hidden_layers must be at least 1, not {depth!r}")
    types = getattr(config, "layer_types", None)
    if types and ("layer_types" in changed or len(types) < depth) and len(types) != depth:
        raise InputError(
            f"layer_types names {len(types)} layers, but num_hidden_layers is {depth}: give "
            "layer_types with one type per layer"
        )
    if types and len(types) > depth:
        config.layer_types = types[:depth]


def check_head_width(config: PreTrainedConfig) -> None:
    """Refuse a hidden size that cannot be shared out among the heads."""
    width, heads = (getattr(config, name, None) for name in ("hidden_size", "num_attention_heads"))
    if width and heads and not getattr(config, "head_dim", None) and width % heads:
        raise InputError(
            f"hidden_size {width} is not a multiple of num_attention_heads {heads}, so no student "
            "can be built from this config: change one of them"
        )
