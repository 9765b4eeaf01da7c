"""Figures that may fail to be measured: the reason is kept, and nothing else is lost."""

from collections.abc import Callable, MutableMapping
from typing import TypeVar

T = TypeVar("T")


def attempt(figure: str, measure: Callable[[], T], missing: MutableMapping[str, str]) -> T | None:
    """The figure, or None with the reason in ``missing``: a finished training is not lost with it.

    Args:
        figure: its name.
        measure: measures it.
        missing: receives its name and the reason.
    """
    try:
        return measure()
    except Exception as error:  # noqa: BLE001 - kernels, meters, memory, foreign models
        missing[figure] = " ".join(str(error).split())[:300] or type(error).__name__
        return None
