"""The layout is a promise: imports only go downwards, model paths stay in one file."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "attndistill"
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


def imported_rooms(file: Path):
    """The rooms of attndistill that a file imports from, wherever in the file."""
    package = ("attndistill", *file.relative_to(PACKAGE).parts[:-1])
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            target = (*base, *(node.module or "").split("."))
            targets = [(*filter(None, target), alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            targets = [tuple(alias.name.split(".")) for alias in node.names]
        else:
            continue
        for target in targets:
            if target[0] == "attndistill" and len(target) > 1 and target[1] in ROOMS:
                yield target[1]


@pytest.mark.parametrize("room", ROOMS)
def test_imports_only_go_downwards(room):
    files = list((PACKAGE / room).rglob("*.py")) or [PACKAGE / f"{room}.py"]
    allowed = ROOMS[ROOMS.index(room) :]
    for file in files:
        for other in imported_rooms(file):
            assert other in allowed, f"{file.relative_to(PACKAGE)} imports {other} from below it"


def test_every_file_has_a_room_and_none_is_a_warehouse():
    for file in PACKAGE.rglob("*.py"):
        room = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        assert room in [*ROOMS, "__init__", "__main__"], file
        assert len(file.read_text(encoding="utf-8").splitlines()) <= 400, file


def test_module_paths_of_models_appear_in_one_folder():
    words = ("encoder_attn", "crossattention", "self_attn", "q_proj", "attention.self")
    for file in PACKAGE.rglob("*.py"):
        if PACKAGE / "capture" / "architectures" not in file.parents:
            text = file.read_text(encoding="utf-8")
            assert not [word for word in words if word in text], file


def test_import_is_light():
    code = "import sys, attndistill; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
