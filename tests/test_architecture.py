"""The layout is a promise: imports only go downwards, and every file is where its name says."""

import ast
import graphlib
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "attndistill"
# From the top floor down: a room imports from itself and from those below it.
ROOMS = [
    "cli",
    "bench",
    "recipes",
    "tasks",
    "report",
    "measure",
    "metrics",
    "export",
    "training",
    "objectives",
    "matching",
    "students",
    "capture",
    "ops",
    "console",
    "reading",
    "choices",
    "errors",
    "lazy",
]
FILES = sorted(PACKAGE.rglob("*.py"))


def module_of(file: Path) -> str:
    """The dotted name of a file; of a package's ``__init__`` the package's."""
    parts = ("attndistill", *file.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


MODULES = {module_of(file): file for file in FILES}


@cache
def imports(file: Path, *, at_once: bool = False) -> frozenset[tuple[str, str]]:
    """(module, name) of all that a file imports from this package, wherever in the file.

    ``at_once``: only what runs when the file is imported, not what a function or a type checker
    looks up.
    """
    package = module_of(file).split(".")
    if file.name != "__init__.py":
        package = package[:-1]
    found = set()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for node in _run_at_import(tree) if at_once else ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, (node.module or "").split("."))])
            found |= {(module, alias.name) for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
    return frozenset(pair for pair in found if pair[0].split(".")[0] == "attndistill")


def _run_at_import(node):
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            continue
        yield child
        yield from _run_at_import(child)


def room_of(module: str, name: str = "") -> str | None:
    """The room that a module, or a name of the package itself, is in; None for the package."""
    parts = [*module.split("."), name]
    return parts[1] if parts[1] in ROOMS else None


@pytest.mark.parametrize("room", ROOMS)
def test_imports_only_go_downwards(room):
    files = list((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]
    allowed = ROOMS[ROOMS.index(room) :]
    for file in files:
        for module, name in imports(file):
            other = room_of(module, name)
            assert other is None or other in allowed, f"{module_of(file)} imports from {other}"


def test_no_files_import_each_other_in_a_circle():
    graph = {}
    for module, file in MODULES.items():
        targets = {f"{base}.{name}" for base, name in imports(file, at_once=True)}
        targets |= {base for base, _ in imports(file, at_once=True)}
        # A package that is on the way to a file of its own is not imported for its names.
        own = {module, *(module.rsplit(".", n)[0] for n in range(1, module.count(".") + 1))}
        graph[module] = {target for target in targets if target in MODULES} - own
    graphlib.TopologicalSorter(graph).prepare()  # raises CycleError


def test_every_file_has_a_room_and_none_is_a_warehouse():
    for file in FILES:
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        assert room in [*ROOMS, "__init__", "__main__"], file
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, file
    for folder in {file.parent for file in FILES}:
        files = [file for file in folder.glob("*.py") if file.name != "__init__.py"]
        assert len(files) <= 16, f"{folder} has more than 16 files"


def test_no_file_name_is_given_twice():
    names = Counter(file.name for file in FILES if file.name != "__init__.py")
    assert [name for name, times in names.items() if times > 1] == []


def test_no_private_name_leaves_its_room():
    for file in FILES:
        own = room_of(module_of(file))
        for module, name in imports(file):
            parts = [*module.split("."), name]
            private = [p for p in parts if p.startswith("_") and not p.endswith("__")]
            assert not private or room_of(module, name) == own, f"{module_of(file)}: {private}"


def test_module_paths_of_models_appear_in_one_folder():
    words = (
        "encoder_attn",
        "crossattention",
        "self_attn",
        "q_proj",
        "attention.self",
        "num_decoder_layers",
        "decoder_layers",
        "layer_types",
        "logits_scaling",
        "ForCausalLM",
        "albert",
    )
    allowed = {"AutoModelForCausalLM", "BertForSequenceClassification"}
    for file in FILES:
        if PACKAGE / "capture" / "architectures" in file.parents:
            continue
        text = file.read_text(encoding="utf-8")
        for word in allowed:
            text = text.replace(word, "")
        found = [word for word in words if re.search(rf"(?<![a-zA-Z_]){re.escape(word)}", text)]
        assert not found, file


def test_import_is_light():
    code = "import sys, attndistill; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_recipes_exports_functions_whatever_was_imported_before():
    code = (
        "import attndistill.recipes.running, attndistill.recipes.comparing\n"
        "from attndistill.recipes import compare, doctor, load_recipe, run\n"
        "assert all(map(callable, (compare, doctor, load_recipe, run)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
