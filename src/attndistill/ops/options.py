"""The choices a caller makes by name."""

from enum import StrEnum
from typing import NoReturn

from ..errors import InputError


class Option(StrEnum):
    """A string enum whose error lists the choices."""

    @classmethod
    def _missing_(cls, value: object) -> NoReturn:
        choices = ", ".join(repr(member.value) for member in cls)
        raise InputError(f"{cls._argument()} must be one of {choices}; got {value!r}")

    @classmethod
    def _argument(cls) -> str:
        """The name of the argument that takes it."""
        return cls.__name__.lower()


class Impl(Option):
    """How an operation is computed; the mathematics is the same.

    "reference" is dense, "blockwise" runs anywhere in linear memory, "triton" on CUDA; "auto" picks
    one of the last two.
    """

    AUTO = "auto"
    REFERENCE = "reference"
    BLOCKWISE = "blockwise"
    TRITON = "triton"


class Per(Option):
    """What the total and the count are summed over: everything, all but heads, or keys only."""

    ALL = "all"
    HEAD = "head"
    ROW = "row"


class Masks(Option):
    """Whether both sides must see the same keys, or only keys seen by both are compared."""

    EQUAL = "equal"
    INTERSECT = "intersect"
