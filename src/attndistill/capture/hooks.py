"""Record attention inside modules that do not look up an attention function.

The parts of such a module that `Rebuilding` names (projections, methods) are observed while its
forward runs; at its end their tensors are put together and recorded.
"""

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from torch import nn

from .architectures import PartCall, attention_forward, rebuilding
from .recorder import Recorder
from .wrapping import wrapped_method

# Takes a part's name, the positional arguments of one call of it, and its output.
Note = Callable[[str, tuple[Any, ...], Any], None]


@contextmanager
def recording_inside(recorder: Recorder, module: nn.Module) -> Iterator[None]:
    """Let ``recorder`` record this module's attention for the length of the context."""
    how = rebuilding(module)
    assert how is not None
    signature = inspect.signature(attention_forward(module))
    calls: dict[str, PartCall] = {}

    def note(part: str, inputs: tuple[Any, ...], output: Any) -> None:
        if recorder.wants(module):
            calls.setdefault(part, PartCall(inputs=inputs, output=output))

    def record(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], __: Any) -> None:
        if not recorder.wants(module):
            return
        given = signature.bind(module, *args, **kwargs)
        given.apply_defaults()
        call = how.rebuild(module, given.arguments, calls)
        calls.clear()
        recorder.record(module, call)

    with ExitStack() as stack:
        for part in how.parts:
            stack.enter_context(_noting(module, part, note))
        # A forward that failed half-way leaves calls behind.
        stack.callback(module.register_forward_pre_hook(lambda *_: calls.clear()).remove)
        stack.callback(module.register_forward_hook(record, with_kwargs=True).remove)
        stack.callback(calls.clear)
        yield


@contextmanager
def _noting(module: nn.Module, part: str, note: Note) -> Iterator[None]:
    """Note the calls of a submodule or of a method of the module."""
    submodule = getattr(module, part)
    if isinstance(submodule, nn.Module):
        hook = submodule.register_forward_hook(lambda _, args, output: note(part, args, output))
        try:
            yield
        finally:
            hook.remove()
        return

    def noted(method: Callable, *args: Any, **kwargs: Any) -> Any:
        output = method(*args, **kwargs)
        note(part, args, output)
        return output

    with wrapped_method(module, part, noted):
        yield
