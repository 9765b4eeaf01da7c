"""YAML, read strictly: YAML 1.2 scalars, no duplicate keys; and ``a.b=value`` settings on top."""

import re
from collections.abc import Hashable, Sequence
from pathlib import Path
from typing import Any

import yaml

from ...errors import InputError

MOST_VALUES = 100_000


def read_yaml(path: Path) -> Any:
    """Read one YAML file.

    Raises:
        InputError: the file is missing or not text, or is not YAML (with the line).
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError(
            f"there is no recipe file {path}; `attndistill init` writes one"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"the recipe file {path} is not UTF-8 text: save it as UTF-8") from error
    except OSError as error:
        raise InputError(f"cannot read the recipe file {path}: {error.strerror}") from error
    return parse_yaml(text, str(path))


def parse_yaml(text: str, source: str) -> Any:
    """Parse YAML; ``source`` names it in the error."""
    try:
        return yaml.load(text, Loader=_StrictLoader)  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InputError(f"{source}{line}: not valid YAML: {error.problem}") from error
    except RecursionError as error:
        raise InputError(f"{source}: not valid YAML: nested too deeply") from error
    # An explicit tag, such as !!int, on a value of another kind: PyYAML raises Python's errors.
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise InputError(f"{source}: not valid YAML: {error}") from error


def dump_yaml(plain: Any) -> str:
    """Plain data as YAML, in its own order."""
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)


def apply_settings(raw: Any, settings: Sequence[str]) -> Any:
    """Apply ``a.b=value`` settings to a copy of a parsed recipe; values are YAML.

    Mappings missing on the way are created, so ``student.config.hidden_size=128`` works.
    """
    for setting in settings:
        dotted, equals, text = setting.partition("=")
        keys = dotted.strip().split(".")
        if not equals or not all(keys):
            raise InputError(f"--set takes a.b=value, such as training.seed=1; got {setting!r}")
        raw = _with_value(raw, keys, parse_yaml(text, f"--set {setting}"), dotted)
    return raw


def _with_value(raw: Any, keys: list[str], value: Any, dotted: str) -> Any:
    if not keys:
        return value
    if raw is not None and not isinstance(raw, dict):
        raise InputError(f"--set {dotted}: {keys[0]!r} would go into {raw!r}, which has no keys")
    inner = raw or {}
    return {**inner, keys[0]: _with_value(inner.get(keys[0]), keys[1:], value, dotted)}


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """How many values a node has with its aliases expanded: a few lines can make billions."""
    match node:
        case yaml.MappingNode():
            inner = [part for pair in node.value for part in pair]
        case yaml.SequenceNode():
            inner = node.value
        case _:
            return 1
    if id(node) not in sizes:
        sizes[id(node)] = MOST_VALUES  # in case it contains itself
        sizes[id(node)] = 1 + sum(_size(part, sizes) for part in inner)
    return sizes[id(node)]


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice and reads YAML 1.2's plain scalars.

    PyYAML's own YAML 1.1 rules read ``5e-5`` as text, ``no`` as false and ``010`` as 8.
    """

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_document(self, node: yaml.Node) -> Any:
        if _size(node, {}) > MOST_VALUES:
            raise yaml.MarkedYAMLError(
                problem=f"its aliases (*name) repeat without end, or make over {MOST_VALUES} values"
            )
        return super().construct_document(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="a key must be one word, not a list or a mapping",
                    problem_mark=key_node.start_mark,
                )
            key = key_node.value
            if key in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"the key {key!r} is given twice", problem_mark=key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_NUMBER_START = list("-+.0123456789")
for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)", _NUMBER_START),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        _NUMBER_START,
    ),
    ("merge", r"<<", ["<"]),
):
    _StrictLoader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first
    )
