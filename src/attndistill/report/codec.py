"""Frozen dataclasses to JSON and back, checked against their annotations.

Numbers that are not finite are written as the strings "nan", "inf" and "-inf": JSON has none.
"""

import math
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from typing import Any

NOT_FINITE = ("nan", "inf", "-inf")
NUMBERS_ALONE = re.compile(r"\[\n[-\d.,eE+\s]*\]")


class DecodeError(ValueError):
    """The JSON value is not of the annotated type; the message says where."""


def to_plain(value: Any) -> Any:
    """Dataclasses, enums and tuples as what JSON has."""
    if is_dataclass(value):
        return {field.name: to_plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def lists_of_numbers_on_one_line(text: str) -> str:
    """Indented JSON with each list of bare numbers joined to one line."""
    # A string in JSON has no line break, so nothing inside one matches.
    return NUMBERS_ALONE.sub(lambda match: re.sub(r"\s+", " ", match[0]), text)


def from_plain(kind: Any, value: Any, path: str) -> Any:
    """A parsed JSON value as an instance of an annotated type.

    Args:
        kind: a dataclass, an enum, str, int, float, bool, Any, ``X | None``, ``tuple[X, ...]``,
            ``tuple[X, Y]`` or ``dict[str, X]``.
        value: of ``json.loads``.
        path: of the value, for the error.

    Raises:
        DecodeError: a missing or unknown field, or a value of another type.
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin is types.UnionType:
        inner = next(argument for argument in arguments if argument is not types.NoneType)
        return None if value is None else from_plain(inner, value, path)
    if origin is tuple:
        return _tuple(arguments, _expect(list, value, path), path)
    if origin is dict:
        items = _expect(dict, value, path).items()
        return {key: from_plain(arguments[1], item, f"{path}.{key}") for key, item in items}
    if is_dataclass(kind):
        return _dataclass(kind, _expect(dict, value, path), path)
    if issubclass(kind, Enum):
        return _enum(kind, value, path)
    if kind is float:
        return _float(value, path)
    return _expect(kind, value, path)


def _dataclass(kind: Any, value: dict[str, Any], path: str) -> Any:
    annotations = typing.get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    missing = [field.name for field in fields(kind) if field.name not in value and _needed(field)]
    unknown = [name for name in value if name not in names]
    if missing or unknown:
        problems = [f"no {name}" for name in missing] + [f"an unknown {name}" for name in unknown]
        raise DecodeError(f"{path} has {' and '.join(problems)}")
    return kind(**{n: from_plain(annotations[n], value[n], f"{path}.{n}") for n in value})


def _needed(field: Field) -> bool:
    """A field with a default may have come after the report was written."""
    return field.default is MISSING and field.default_factory is MISSING


def _tuple(arguments: tuple[Any, ...], value: list[Any], path: str) -> tuple[Any, ...]:
    kinds = [arguments[0]] * len(value) if arguments[-1] is Ellipsis else list(arguments)
    if len(kinds) != len(value):
        raise DecodeError(f"{path} must have {len(kinds)} items, not {len(value)}")
    pairs = enumerate(zip(kinds, value, strict=True))
    return tuple(from_plain(kind, item, f"{path}[{n}]") for n, (kind, item) in pairs)


def _enum(kind: type[Enum], value: Any, path: str) -> Enum:
    choices = [member.value for member in kind]
    if value not in choices:
        raise DecodeError(f"{path} must be one of {', '.join(map(str, choices))}, not {value!r}")
    return kind(value)


def _float(value: Any, path: str) -> float:
    if type(value) in (int, float):
        return value
    if value in NOT_FINITE:
        return float(value)
    raise DecodeError(f"{path} must be a number, not {value!r}")


def _expect(kind: type, value: Any, path: str) -> Any:
    if type(value) is kind:
        return value
    raise DecodeError(f"{path} must be {kind.__name__}, not {type(value).__name__}")
