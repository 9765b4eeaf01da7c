"""Students built from a teacher: some of its layers kept, or a smaller config of its kind."""

import copy
from collections.abc import Mapping
from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel

from ..capture.architectures import check_head_width, fit_layer_types
from ..errors import InputError, did_you_mean
from .construction import construct, one_line
from .kept_layers import KeepLayers, shallower

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
        The student, in the teacher's dtype, on the CPU, in training mode. That of a quantized
        teacher is a plain one, in the dtype of what is not quantized.

    Raises:
        InputError: not exactly one of the two, a layer out of range, weights that cannot be
            copied, or a config that the architecture does not have or cannot be built.
    """
    if (keep_layers is None) == (config is None):
        raise InputError("build_student takes one of keep_layers or config, and not both")
    if keep_layers is not None:
        return shallower(teacher, keep_layers)
    assert config is not None
    return construct(teacher, _changed_config(teacher.config, config))


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
            hint = did_you_mean(name, known)
            raise InputError(f"{type(config).__name__} has no field {name!r}{hint}")
        try:
            setattr(config, name, value)
        except Exception as error:  # noqa: BLE001 - Transformers' checks have no common base
            raise InputError(
                f"{type(config).__name__}.{name} cannot be {value!r}: {one_line(error)}"
            ) from error
    fit_layer_types(config, changed=changes)
    check_head_width(config)
    return config
