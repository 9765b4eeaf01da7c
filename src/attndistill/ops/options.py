"""What a caller of an operation chooses by name."""

from ..choices import Option


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
