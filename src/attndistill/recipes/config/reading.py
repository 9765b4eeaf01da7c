"""Turn parsed YAML into checked dataclasses; every error names the dotted path of the culprit."""

import math
import types
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from ...errors import InputError, did_you_mean, shown
from ...tasks import PYTHON_ONLY

T = TypeVar("T")
TRUTH_WORDS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}


def read_settings(cls: type[T], raw: Any, path: str) -> T:
    """Build a dataclass from a mapping of its fields.

    Args:
        cls: the dataclass; nested dataclasses are read likewise.
        raw: the parsed mapping.
        path: its dotted path in the recipe, for errors.

    Raises:
        InputError: an unknown or missing key, a value of the wrong type, or one that ``cls``
            itself refuses.
    """
    settings = as_mapping(raw, path)
    known = settings_of(cls)
    refuse_unknown(settings, [field.name for field in known], path)
    for field in known:
        required = field.default is MISSING and field.default_factory is MISSING
        if required and field.name not in settings:
            raise InputError(f"{join(path, field.name)} is missing")
    hints = get_type_hints(cls)
    values = {
        name: convert(value, hints[name], join(path, name)) for name, value in settings.items()
    }
    try:
        return cls(**values)
    except InputError as error:
        raise InputError(f"{path}: {error}" if path else str(error)) from error


def settings_of(cls: type) -> list[Field]:
    """The fields of a dataclass that are lines of a recipe: not those for Python objects."""
    return [f for f in fields(cls) if f.init and not f.metadata.get(PYTHON_ONLY)]


def as_mapping(raw: Any, path: str) -> dict[str, Any]:
    """Insist on a mapping with text keys."""
    if not isinstance(raw, Mapping) or not all(isinstance(key, str) for key in raw):
        what = path or "a recipe"
        raise InputError(f"{what} must be a mapping of names to values, not {shown(raw)}")
    return dict(raw)


def refuse_unknown(settings: Iterable[str], known: Sequence[str], path: str) -> None:
    """Refuse keys that are not known, with the closest that is."""
    for name in settings:
        if name not in known:
            choices = "" if len(known) > 12 else f"; known keys: {', '.join(known)}"
            raise InputError(f"unknown key {join(path, name)}{did_you_mean(name, known)}{choices}")


def join(path: str, name: str) -> str:
    """Extend a dotted path."""
    return f"{path}.{name}" if path else name


def convert(value: Any, annotation: Any, path: str) -> Any:
    """Check a value against a type annotation and convert what can only mean one thing.

    A whole float is taken for an int, an int for a float, and quoted numbers and truth words for
    what they spell. An enum's value is checked and kept as text.

    Raises:
        InputError: the value is of another type.
    """
    options = _options(annotation)
    if any(option is Any for option in options):
        return value
    for option in options:
        if isinstance(option, type) and issubclass(option, Enum):
            return choose(value, [str(member.value) for member in option], path)
    if isinstance(value, Mapping):
        options = _of_these_keys(options, value, path)
    for option in _by_fit(options, value):
        converted = _as_option(value, option, path)
        if converted is not _NO_FIT:
            return converted
    expected = " or ".join(_describe(option) for option in options)
    raise InputError(f"{path} must be {expected}, not {shown(value)}")


def choose(value: Any, choices: Sequence[str], path: str) -> str:
    """Insist on one of several words."""
    if value not in choices:
        hint = did_you_mean(str(value), choices)
        raise InputError(f"{path} is {shown(value)}{hint}; choose {', '.join(choices)}")
    return str(value)


_NO_FIT = object()


def _options(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        return [option for part in get_args(annotation) for option in _options(part)]
    return [annotation]


def _of_these_keys(options: list[Any], value: Mapping[str, Any], path: str) -> list[Any]:
    """Of several dataclasses only the one that has all the keys of a mapping."""
    kinds = [option for option in options if is_dataclass(option)]
    if len(kinds) < 2:
        return options
    for kind in kinds:
        if set(value) <= {field.name for field in fields(kind)}:
            return [kind]
    choices = "; or ".join(", ".join(field.name for field in fields(kind)) for kind in kinds)
    raise InputError(f"{path} has the keys {', '.join(map(str, value))}; it takes {choices}")


def _by_fit(options: list[Any], value: Any) -> list[Any]:
    """Options whose type the value already has come first, so that text stays text."""
    return sorted(options, key=lambda option: type(value) is not (get_origin(option) or option))


def _as_option(value: Any, option: Any, path: str) -> Any:
    kind = get_origin(option) or option
    if kind in (None, type(None)):
        return None if value is None else _NO_FIT
    if kind is bool:
        known = isinstance(value, bool)
        return value if known else TRUTH_WORDS.get(str(value).lower(), _NO_FIT)
    if kind in (int, float):
        return _as_number(value, kind, path)
    if kind is Literal:
        return value if value in get_args(option) else _NO_FIT
    if is_dataclass(kind) and isinstance(kind, type):
        return read_settings(kind, value, path) if isinstance(value, Mapping) else _NO_FIT
    if kind in (list, tuple, Sequence):
        return _as_sequence(value, option, path)
    if kind in (dict, Mapping):
        return _as_typed_mapping(value, option, path)
    return value if isinstance(value, kind) else _NO_FIT


def _as_number(value: Any, kind: type, path: str) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return _NO_FIT
    try:
        number = float(value)
    except ValueError:
        return _NO_FIT
    if not math.isfinite(number):
        raise InputError(f"{path} must be a finite number, not {value!r}")
    if kind is float:
        return number
    return int(number) if number.is_integer() else _NO_FIT


def _as_sequence(value: Any, option: Any, path: str) -> Any:
    if isinstance(value, str) or not isinstance(value, Sequence):
        return _NO_FIT
    element = next(iter(get_args(option)), Any)
    items = [convert(item, element, f"{path}[{number}]") for number, item in enumerate(value)]
    return tuple(items) if get_origin(option) is tuple else items


def _as_typed_mapping(value: Any, option: Any, path: str) -> Any:
    if not isinstance(value, Mapping):
        return _NO_FIT
    element = get_args(option)[1] if get_args(option) else Any
    return {key: convert(item, element, join(path, str(key))) for key, item in value.items()}


def _describe(option: Any) -> str:
    kind = get_origin(option) or option
    names = {
        int: "a whole number",
        float: "a number",
        bool: "true or false",
        str: "text",
        list: "a list",
        tuple: "a list",
        dict: "a mapping",
        type(None): "empty (null)",
    }
    return names.get(kind, "a mapping" if is_dataclass(kind) or kind is Mapping else str(option))
