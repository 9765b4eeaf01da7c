"""The errors that a user can put right, and the parts of their messages."""

import difflib
import reprlib
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

# Control characters and lone surrogates.
NOT_DRAWN = ("Cc", "Cs")
SHORT = reprlib.Repr()
SHORT.maxlevel, SHORT.maxstring, SHORT.maxother = 3, 100, 100


class InputError(ValueError):
    """The input is wrong: the message says what was expected, what came and what to do.

    The command line prints it alone, without a traceback, and exits with code 2.
    """


class ObjectiveError(RuntimeError):
    """A term of the objective teaches nothing or is not finite: the run stops, naming the term."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The closest known name as ``; did you mean …?``; empty if none is close."""
    lowered = {choice.casefold(): choice for choice in known}
    close = difflib.get_close_matches(name.casefold(), lowered, n=1)
    return f"; did you mean {lowered[close[0]]!r}?" if close else ""


def shown(value: Any) -> str:
    """A value's repr for a message, shortened if it is long."""
    return SHORT.repr(value)


def readable(text: str) -> str:
    """Text for a page or terminal: control characters, which could steer it, are replaced."""
    return "".join(
        "\N{REPLACEMENT CHARACTER}" if unicodedata.category(c) in NOT_DRAWN and c != "\n" else c
        for c in text
    )


def data_rows(rows: Sequence[int]) -> str:
    """Row numbers for a message, counted from 1 without the header: "data rows 3, 17"."""
    numbers = ", ".join(str(row + 1) for row in rows[:5])
    more = f" and {len(rows) - 5} more" if len(rows) > 5 else ""
    return f"data {'row' if len(rows) == 1 else 'rows'} {numbers}{more}"
