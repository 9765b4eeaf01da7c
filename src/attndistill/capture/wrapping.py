"""Wrap a method of one object for the length of a context."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial, update_wrapper
from typing import Any

# Called as around(method, *args, **kwargs) in place of method(*args, **kwargs).
Around = Callable[..., Any]


class _Wrapped:
    """A method of one object and what is called around it; `own` is the attribute it replaced."""

    def __init__(self, method: Callable, own: Any) -> None:
        update_wrapper(self, method)
        self.method = method
        self.own = own
        self.around: list[Around] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        call: Callable = self.method
        for around in self.around:
            call = partial(around, call)
        return call(*args, **kwargs)


@contextmanager
def wrapped_method(owner: Any, name: str, around: Around) -> Iterator[None]:
    """Let ``around`` stand in for a method; contexts on one method may close in any order."""
    wrapped = vars(owner).get(name)
    if not isinstance(wrapped, _Wrapped):
        wrapped = _Wrapped(getattr(owner, name), wrapped)
        setattr(owner, name, wrapped)
    wrapped.around.append(around)
    try:
        yield
    finally:
        wrapped.around.remove(around)
        if not wrapped.around:
            delattr(owner, name)
            if wrapped.own is not None:
                setattr(owner, name, wrapped.own)
