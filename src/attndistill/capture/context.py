"""The capture context: record queries and keys inside a model's forward, then leave no trace."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

from torch import nn

from ..errors import InputError
from .architectures import AttentionLayer, attention_layers, base_model
from .interface import recording
from .record import AttentionRecord
from .recorder import Recorder
from .wrapping import wrapped_method

LayerSelection = Sequence[int] | Mapping[tuple[str, str], Sequence[int]]


@contextmanager
def capture(
    model: nn.Module,
    layers: LayerSelection | None = None,
    *,
    values: bool = False,
    stop: bool = False,
) -> Iterator[list[AttentionRecord]]:
    """Record the query and key of a model's attention layers at each forward.

    The attention implementation in use (``sdpa``, ``eager``, a flash kernel) stays in use: it is
    wrapped under its own name for the length of the context, and restored on exit, also after an
    error. No attention map is computed or stored; the records hold the model's own tensors, with
    their graph where gradients are enabled, so a loss on them trains the model.

    Args:
        model: a Transformers model (possibly wrapped by DDP or ``torch.compile``).
        layers: 0-based layer numbers wanted of every stack and kind, or
            ``{(stack, kind): numbers}``; None for all.
        values: record the values too.
        stop: end each forward once the wanted layers are recorded, by raising `StopForward`.

    Yields:
        The list of records, in order of stack, kind and layer of the wanted layers. It is filled
        at each top-level forward and emptied at the next. Nothing is recorded inside
        ``generate()`` or in the recomputation of gradient checkpointing.

    Raises:
        InputError: an unsupported architecture or a layer that does not exist (on entry); a wanted
            layer that the forward did not call, or called under reentrant checkpointing, where
            its gradient would be lost (in the forward).
    """
    model = base_model(model)
    available = attention_layers(model)
    recorder = Recorder(model, available, _select(available, layers), values=values, stop=stop)
    with ExitStack() as stack:
        stack.enter_context(recording(recorder))
        stack.enter_context(_within_forward(model, recorder))
        stack.enter_context(_silent_in_generate(model, recorder))
        yield recorder.records


def _select(available: list[AttentionLayer], wanted: LayerSelection | None) -> list[AttentionLayer]:
    if wanted is None:
        return available
    groups = {(layer.stack, layer.kind) for layer in available}
    by_group = wanted if isinstance(wanted, Mapping) else dict.fromkeys(sorted(groups), wanted)
    index = {(layer.stack, layer.kind, layer.layer): layer for layer in available}
    chosen = []
    for (stack, kind), numbers in by_group.items():
        count = sum((layer.stack, layer.kind) == (stack, kind) for layer in available)
        for number in sorted(set(numbers)):
            if (stack, kind, number) not in index:
                raise InputError(
                    f"{stack} {kind}-attention layer {number} was asked for, but this model has "
                    f"{count} of them (numbers are 0-based); its groups are "
                    f"{', '.join(' '.join(group) for group in sorted(groups))}"
                )
            chosen.append(index[stack, kind, number])
    return chosen


@contextmanager
def _within_forward(model: nn.Module, recorder: Recorder) -> Iterator[None]:
    """Record from the start of each top-level forward to its end, also where it fails."""
    handles = [
        model.register_forward_pre_hook(lambda *_: recorder.begin()),
        model.register_forward_hook(lambda *_: recorder.complete()),
        model.register_forward_hook(lambda *_: recorder.end(), always_call=True),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _silent_in_generate(model: nn.Module, recorder: Recorder) -> AbstractContextManager[None]:
    def silent(generate: Callable, *args: Any, **kwargs: Any) -> Any:
        recorder.generating = True
        try:
            return generate(*args, **kwargs)
        finally:
            recorder.generating = False

    if not hasattr(model, "generate"):
        return nullcontext()
    return wrapped_method(model, "generate", silent)
