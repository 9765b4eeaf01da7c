"""Record a model's attention where it looks up its attention and mask functions.

The function in use is wrapped under its own name, in the table the model looks it up in, and put
back when the last recorder leaves. No model or config is touched, so models that share a config or
an implementation do not notice each other.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any

from torch import Tensor, nn
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.utils.generic import GeneralInterface

from .architectures import attention_config, attention_forward, uses_attention_interface
from .attention_call import AttentionCall
from .hooks import recording_inside
from .masks import note_mask
from .recorder import Recorder

_recorders: list[Recorder] = []
# (table, implementation) -> recorders that need the wrapper, and the entry it stands in for
_wrapped: dict[tuple[int, str], tuple[list[Recorder], Callable | None]] = {}


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Let ``recorder`` record the calls of its attention modules for the length of the context."""
    with ExitStack() as stack:
        for layer in {layer.name: layer for layer in recorder.wanted}.values():
            module = recorder.model.get_submodule(layer.name)
            implementation = attention_config(recorder.model, layer)._attn_implementation
            tables = {_recording_mask: ALL_MASK_ATTENTION_FUNCTIONS}
            if uses_attention_interface(module):
                interface = attention_forward(module).__globals__["ALL_ATTENTION_FUNCTIONS"]
                tables[_recording_attention] = interface
            else:
                stack.enter_context(recording_inside(recorder, module))
            for wrap, table in tables.items():
                stack.enter_context(_wrapping(table, implementation, wrap, recorder))
        _recorders.append(recorder)
        stack.callback(_recorders.remove, recorder)
        yield


@contextmanager
def _wrapping(
    table: GeneralInterface,
    implementation: str,
    wrap: Callable[[str, Callable | None], Callable],
    recorder: Recorder,
) -> Iterator[None]:
    """Keep one wrapper in ``table`` while any recorder needs it, in whatever order they leave."""
    users, own = _wrapped.setdefault(
        (id(table), implementation), ([], table._local_mapping.get(implementation))
    )
    if not users:
        table[implementation] = wrap(implementation, table.get(implementation))
    users.append(recorder)
    try:
        yield
    finally:
        users.remove(recorder)
        if not users:
            del _wrapped[id(table), implementation]
            del table[implementation]
            if own is not None:
                table[implementation] = own


def _recording_attention(implementation: str, original: Callable | None) -> Callable:
    def attention(
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None = None,
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        recorders = [recorder for recorder in _recorders if recorder.wants(module)]
        if recorders:
            call = AttentionCall.of_interface(
                module, implementation, query, key, value, attention_mask, kwargs
            )
            for recorder in recorders:
                recorder.record(module, call)
        # Eager attention is not in the table: each modelling file has its own.
        run = original or attention_forward(module).__globals__["eager_attention_forward"]
        return run(module, query, key, value, attention_mask, *args, **kwargs)

    return attention


def _recording_mask(implementation: str, original: Callable | None) -> Callable:
    if original is None:
        raise KeyError(f"Transformers has no mask function for {implementation!r}")

    @wraps(original)
    def mask_function(*args: Any, **kwargs: Any) -> Any:
        active = [recorder for recorder in _recorders if recorder.active]
        if args or not active:
            return original(*args, **kwargs)
        return note_mask(
            original,
            kwargs,
            [recorder.built_masks for recorder in active],
            as_row=implementation in ("sdpa", "eager"),
        )

    return mask_function
