"""Call a model on a batch as distillation and its measurement need it."""

import inspect
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from .architectures import base_model, transformers_model
from .recorder import StopForward


def run_model(model: nn.Module, batch: Mapping[str, Tensor]) -> Any:
    """Call the model with the columns it knows, without a key/value cache.

    With a cache, packed sequences would attend to each other, in training mode too.
    """
    known = forward_columns(model)
    inputs: dict[str, Any] = {name: value for name, value in batch.items() if name in known}
    if "use_cache" in known:
        inputs["use_cache"] = False
    return model(**inputs)


def run_teacher(teacher: nn.Module, batch: Mapping[str, Tensor]) -> Any:
    """Call the teacher without gradients, dropout or labels; its mode is restored.

    Returns:
        Its output, or None where `capture` has stopped it early.
    """
    with torch.no_grad(), evaluating(teacher), suppress(StopForward):
        return run_model(teacher, unlabelled(teacher, batch))


def unlabelled(model: nn.Module, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The batch without labels; a seq2seq model's decoder still reads the target."""
    inputs = {name: value for name, value in batch.items() if name != "labels"}
    shift = getattr(base_model(model), "prepare_decoder_input_ids_from_labels", None)
    if shift is not None and "labels" in batch and "decoder_input_ids" not in batch:
        inputs["decoder_input_ids"] = shift(labels=batch["labels"])
    return inputs


def can_stop(model: nn.Module) -> bool:
    """Whether a forward may end half-way: that of a compiled or sharded model may not."""
    wrapped = base_model(model) is not model
    return not wrapped and all(
        module._compiled_call_impl is None and not hasattr(module, "_get_fsdp_state")
        for module in model.modules()
    )


def forward_columns(model: nn.Module) -> frozenset[str]:
    """The arguments that the model's forward names, through all its wrappers."""
    return _argument_names(type(transformers_model(model)))  # type: ignore[arg-type]


@contextmanager
def evaluating(*models: nn.Module) -> Iterator[None]:
    """Evaluation mode within the context; each module's own mode again after it."""
    training = [module for model in models for module in model.modules() if module.training]
    try:
        for model in models:
            model.eval()
        yield
    finally:
        for module in training:
            module.training = True


@cache
def _argument_names(kind: type[nn.Module]) -> frozenset[str]:
    return frozenset(inspect.signature(kind.forward).parameters) - {"self", "kwargs", "args"}
