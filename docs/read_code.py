"""What the files of the package define, use and import, by their syntax trees."""

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "attndistill"

# A module or a name in one, as the parts of its path below attndistill.
Dotted = tuple[str, ...]


def parsed(file: str) -> ast.Module:
    """The syntax tree of a file below the package."""
    return ast.parse((PACKAGE / file).read_text(encoding="utf-8"))


def functions(file: str) -> set[str]:
    """The functions of a file, and the methods of its classes as ``Class.method``."""
    found = set()
    for node in parsed(file).body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            parts = (part for part in node.body if isinstance(part, ast.FunctionDef))
            found |= {f"{node.name}.{part.name}" for part in parts}
    return found


def words(file: str) -> set[str]:
    """The names and attributes that the code of a file uses."""
    nodes = list(ast.walk(parsed(file)))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}


def module_of(file: str) -> Dotted:
    """``recipes/running.py`` as a module's path; a package's ``__init__`` is the package."""
    return tuple(part for part in file.removesuffix(".py").split("/") if part != "__init__")


def imported(file: str) -> Iterator[Dotted]:
    """All that a file imports from the package, wherever in it: modules, and names in them."""
    own = ("attndistill", *file.split("/")[:-1])
    for node in ast.walk(parsed(file)):
        if isinstance(node, ast.ImportFrom):
            base = own[: len(own) - node.level + 1] if node.level else ()
            module = tuple(node.module.split(".")) if node.module else ()
            targets = [(*base, *module, alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            targets = [tuple(alias.name.split(".")) for alias in node.names]
        else:
            continue
        yield from (target[1:] for target in targets if target[0] == "attndistill")


def reaches(file: str, module: Dotted) -> bool:
    """Whether a file imports a module or a name in it, directly or from a package above it."""
    for target in imported(file):
        if target[: len(module)] == module:
            return True
        for end in range(1, len(module)):
            from_package = target[:end] == module[:end] and len(target) <= end + 1
            init = "/".join((*module[:end], "__init__.py"))
            if from_package and any(name[: len(module)] == module for name in imported(init)):
                return True
    return False
