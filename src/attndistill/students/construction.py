"""Make a model of the teacher's class from a config."""

import copy

from transformers import PreTrainedConfig, PreTrainedModel

from ..errors import InputError


def construct(teacher: PreTrainedModel, config: PreTrainedConfig) -> PreTrainedModel:
    """A fresh model of the teacher's class and dtype, never quantized, in training mode."""
    config.__dict__.pop("quantization_config", None)
    try:
        student = type(teacher)(config)
        student.to(teacher.dtype)  # type: ignore[arg-type]
        # As save_pretrained does, which is too late.
        config.validate()
    except Exception as error:  # noqa: BLE001 - whatever the architecture trips over
        raise InputError(
            f"no {type(teacher).__name__} can be built from this student config: {one_line(error)}"
        ) from error
    if teacher.can_generate():
        student.generation_config = copy.deepcopy(teacher.generation_config)
    return student.train()


def one_line(error: Exception) -> str:
    """The error on one line, with its type: some of them say little else."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
