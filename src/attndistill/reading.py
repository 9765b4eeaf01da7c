"""Plain data, as YAML and JSON parse to it, into annotated dataclasses and back.

Every error names the dotted path of the value at fault.
"""

import math
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from enum import Enum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from .choices import one_of
from .errors import InputError, did_you_mean, shown

T = TypeVar("T")
# A field with this mark holds a Python object of the user's and is never read from a file.
PYTHON_ONLY = "python_only"
TRUTH_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
# JSON has no such numbers: they are written as text.
NOT_FINITE = ("nan", "inf", "-inf")
NO_FIT = object()
DESCRIPTIONS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "text",
    type(None): "empty (null)",
    **dict.fromkeys([list, tuple, Sequence], "a list"),
    **dict.fromkeys([dict, Mapping], "a mapping"),
}


@dataclass(frozen=True)
class Reader:
    """Reads plain data by annotations: of dataclasses, enums, lists, mappings, scalars and unions.

    Attributes:
        scalars: by type, what takes a value and its path, and returns what the value means or
            `NO_FIT`. A type without an entry takes its own instances.
    """

    scalars: Mapping[Any, Callable[[Any, str], Any]]

    def settings(self, cls: type[T], raw: Any, path: str) -> T:
        """Build a dataclass from a mapping of its fields.

        Args:
            cls: the dataclass; nested dataclasses are read likewise.
            raw: the parsed mapping.
            path: its dotted path, for errors; "" for the whole.

        Raises:
            InputError: an unknown or missing key, a value of the wrong type, or one that ``cls``
                itself refuses.
        """
        given = as_mapping(raw, path)
        known = settings_of(cls)
        refuse_unknown(given, [field.name for field in known], path)
        for field in known:
            required = field.default is MISSING and field.default_factory is MISSING
            if required and field.name not in given:
                raise InputError(f"{join(path, field.name)} is missing")
        hints = get_type_hints(cls)
        values = {name: self.value(hints[name], given[name], join(path, name)) for name in given}
        try:
            return cls(**values)
        except InputError as error:
            raise InputError(f"{path}: {error}" if path else str(error)) from error

    def value(self, annotation: Any, raw: Any, path: str) -> Any:
        """Check a value against an annotation, and convert it where it can only mean one thing.

        In a union, the type that the value already has comes first, so that text stays text; but
        where there is an enum, text must be one of its values.

        Raises:
            InputError: the value is of another type.
        """
        options = _options(annotation)
        if Any in options or (raw is None and type(None) in options):
            return raw
        for option in options:
            if isinstance(option, type) and issubclass(option, Enum):
                return option(one_of([member.value for member in option], raw, path))
        if isinstance(raw, Mapping):
            options = _of_these_keys(options, raw, path)
        for option in sorted(options, key=lambda option: type(raw) is not _kind(option)):
            value = self._fit(option, raw, path)
            if value is not NO_FIT:
                return value
        expected = " or ".join(dict.fromkeys(map(_describe, options)))
        raise InputError(f"{path} must be {expected}, not {shown(raw)}")

    def _fit(self, option: Any, raw: Any, path: str) -> Any:
        kind = _kind(option)
        if kind in self.scalars:
            return self.scalars[kind](raw, path)
        if kind is Literal:
            return raw if raw in get_args(option) else NO_FIT
        if kind in (list, tuple, Sequence):
            is_list = isinstance(raw, Sequence) and not isinstance(raw, str)
            return self._items(option, raw, path) if is_list else NO_FIT
        if not isinstance(raw, Mapping):
            return raw if isinstance(raw, kind) else NO_FIT
        if is_dataclass(kind) and isinstance(kind, type):
            return self.settings(kind, raw, path)
        if kind in (dict, Mapping):
            element = get_args(option)[1] if get_args(option) else Any
            return {key: self.value(element, raw[key], join(path, str(key))) for key in raw}
        return NO_FIT

    def _items(self, option: Any, raw: Sequence[Any], path: str) -> Any:
        kinds = get_args(option) or (Any,)
        if _kind(option) is not tuple or kinds[-1] is Ellipsis:
            kinds = (kinds[0],) * len(raw)
        if len(kinds) != len(raw):
            raise InputError(f"{path} must have {len(kinds)} items, not {len(raw)}")
        pairs = enumerate(zip(kinds, raw, strict=True))
        items = [self.value(kind, item, f"{path}[{number}]") for number, (kind, item) in pairs]
        return tuple(items) if _kind(option) is tuple else items


def to_plain(value: Any, *, number: Callable[[float], Any] = float) -> Any:
    """Dataclasses, enums and tuples as types of YAML and JSON; ``number`` converts a float."""
    if is_dataclass(value):
        items = ((field.name, getattr(value, field.name)) for field in settings_of(type(value)))
        return {name: to_plain(item, number=number) for name, item in items}
    if isinstance(value, Mapping):
        return {key: to_plain(item, number=number) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item, number=number) for item in value]
    if isinstance(value, Enum):
        return value.value
    return number(value) if isinstance(value, float) else value


def json_number(value: float) -> float | str:
    """A number for JSON, which has no infinities or NaN: those become text."""
    return value if math.isfinite(value) else str(value)


def settings_of(cls: type) -> list[Field]:
    """The fields of a dataclass that are lines of a file: not those for Python objects."""
    return [f for f in fields(cls) if f.init and not f.metadata.get(PYTHON_ONLY)]


def as_mapping(raw: Any, path: str) -> dict[str, Any]:
    """Insist on a mapping with text keys."""
    if not isinstance(raw, Mapping) or not all(isinstance(key, str) for key in raw):
        what = path or "a recipe"
        raise InputError(f"{what} must be a mapping of names to values, not {shown(raw)}")
    return dict(raw)


def refuse_unknown(given: Iterable[str], known: Sequence[str], path: str) -> None:
    """Refuse unknown keys, suggesting the closest known one."""
    for name in given:
        if name not in known:
            choices = "" if len(known) > 12 else f"; known keys: {', '.join(known)}"
            raise InputError(f"unknown key {join(path, name)}{did_you_mean(name, known)}{choices}")


def join(path: str, name: str) -> str:
    """Extend a dotted path."""
    return f"{path}.{name}" if path else name


def _truth(raw: Any, path: str) -> Any:
    return raw if isinstance(raw, bool) else TRUTH_WORDS.get(str(raw).lower(), NO_FIT)


def _finite(raw: Any, path: str) -> Any:
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        return NO_FIT
    try:
        number = float(raw)
    except (ValueError, OverflowError):
        return NO_FIT
    if not math.isfinite(number):
        raise InputError(f"{path} must be a finite number, not {raw!r}")
    return number


def _whole(raw: Any, path: str) -> Any:
    number = _finite(raw, path)
    return int(number) if number is not NO_FIT and number.is_integer() else NO_FIT


def _exactly_int(raw: Any, path: str) -> Any:
    return raw if type(raw) is int else NO_FIT


def _json_float(raw: Any, path: str) -> Any:
    if type(raw) in (int, float):
        return raw
    return float(raw) if raw in NOT_FINITE else NO_FIT


# For what a person writes: a whole float is read as an int, an int as a float, and quoted
# numbers and truth words as what they spell.
LENIENT = Reader({bool: _truth, int: _whole, float: _finite})
# For what `to_plain` has written as JSON.
STRICT = Reader({int: _exactly_int, float: _json_float})


def _options(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(option for part in get_args(annotation) for option in _options(part))
    return (annotation,)


def _kind(option: Any) -> Any:
    return get_origin(option) or option


def _of_these_keys(options: tuple[Any, ...], raw: Mapping[str, Any], path: str) -> tuple[Any, ...]:
    """Among several dataclasses, only the first that has all the keys of a mapping."""
    kinds = [kind for kind in options if isinstance(kind, type) and is_dataclass(kind)]
    if len(kinds) < 2:
        return options
    names = {kind: [field.name for field in settings_of(kind)] for kind in kinds}
    for kind in kinds:
        if set(raw) <= set(names[kind]):
            return (kind,)
    choices = "; or ".join(map(", ".join, names.values()))
    raise InputError(f"{path} has the keys {', '.join(map(str, raw))}; it takes {choices}")


def _describe(option: Any) -> str:
    kind = _kind(option)
    return "a mapping" if is_dataclass(kind) else DESCRIPTIONS.get(kind, str(option))
