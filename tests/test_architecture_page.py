"""docs/architecture.md and its picture are what the code's imports say."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import pytest

GENERATOR = Path(__file__).parents[1] / "docs" / "generate_architecture.py"


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("generate_architecture", GENERATOR)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_and_picture_are_current(generator):
    assert generator.PAGE.read_text(encoding="utf-8") == generator.page(), "stale: make docs"
    assert generator.PICTURE.read_text(encoding="utf-8") == generator.picture(), "stale: make docs"


def test_the_main_path_is_the_codes(generator):
    generator.check_path(generator.DOWN + generator.BACK)
    assert generator.DOWN[-1].function == "blockwise"
    assert len(generator.DOWN) <= 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"function": "gone"}, "has no function gone"),
        ({"caller": "ops/api.py"}, "is called from ops/api.py, which is not before it"),
        ({"caller": "cli.py"}, "cli.py does not import"),
        ({"file": "cli.py", "function": "run"}, "is named twice"),
    ],
)
def test_a_path_that_the_code_does_not_have_is_noticed(generator, change, message):
    hops = list(generator.DOWN)
    hops[6] = replace(hops[6], **change)
    with pytest.raises(ValueError, match=message):
        generator.check_path(hops)


def test_every_file_that_contributing_names_is_there():
    root = GENERATOR.parents[1]
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = re.findall(r"`([\w./-]+\.(?:py|md|in\.md))`|\b((?:docs|tests)/[\w./-]+\w)", text)
    places = (root, root / "src" / "attndistill", root / "src/attndistill/capture/architectures")
    files = {a or b for a, b in named} - {"families.py"}
    assert len(files) > 20
    assert [f for f in files if not any((place / f).exists() for place in places)] == []
