"""The choices that a caller makes by name."""

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NoReturn

from .errors import InputError, did_you_mean, shown


class Option(StrEnum):
    """A string enum whose error lists the choices."""

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        one_of([member.value for member in cls], value, cls._argument())
        raise AssertionError("one of the choices has its member")

    @classmethod
    def _argument(cls) -> str:
        """The name of the argument that takes it."""
        return re.sub(r"(?<!^)(?=[A-Z])", "_", cls.__name__).lower()


def one_of(choices: Sequence[str], value: Any, path: str) -> str:
    """Insist on one of several words; ``path`` names the value in the error."""
    if value not in choices:
        hint = did_you_mean(value, choices) if isinstance(value, str) else ""
        raise InputError(f"{path} is {shown(value)}{hint}; choose {', '.join(choices)}")
    return str(value)
