"""Students with adapters: which kinds can be distilled, and the teacher that they contain."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from ..errors import InputError


def has_adapters(model: nn.Module) -> bool:
    """Whether a model has PEFT adapters that can be disabled."""
    return hasattr(model, "disable_adapter")


@contextmanager
def without_adapters(model: nn.Module) -> Iterator[None]:
    """The model's own weights alone, for the length of the context.

    PEFT resets which adapters train when it enables them again; this restores what trained before.
    """
    adapted: Any = model
    trained = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    try:
        with adapted.disable_adapter():
            yield
    finally:
        for parameter, requires_grad in trained:
            parameter.requires_grad_(requires_grad)


def check_adapters(model: nn.Module) -> None:
    """Refuse adapters whose student cannot be compared with a teacher, token by token.

    Raises:
        InputError: for prompt learning (prompt and prefix tuning, P-tuning).
    """
    config: Any = getattr(model, "active_peft_config", None)
    if config is not None and config.is_prompt_learning:
        kind = getattr(config.peft_type, "value", config.peft_type)
        raise InputError(
            f"{kind} puts virtual tokens before the student's input: its attention has keys, and "
            "its output may have tokens, that no teacher has, so they cannot be compared; use "
            "adapters of the weights, such as LoRA"
        )
