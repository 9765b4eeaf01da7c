"""docs/architecture.md and its picture say what the code does, and the path they show exists."""

import importlib.util
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location(
        "generate_architecture", DOCS / "generate_architecture.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page_and_picture_are_current(generator):
    stale = "is stale: run python docs/generate_architecture.py"
    assert generator.PAGE.read_text(encoding="utf-8") == generator.page(), f"the page {stale}"
    drawn = generator.PICTURE.read_text(encoding="utf-8")
    assert drawn == generator.picture(), f"the picture {stale}"


def test_the_path_exists_and_is_short(generator):
    generator.check_path(generator.DOWN + generator.BACK)
    assert generator.DOWN[0].file == "cli.py"
    assert generator.DOWN[-1].file.startswith("ops/blockwise/")
    assert len(generator.DOWN) <= 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"function": "prepared"}, "no function prepared"),
        ({"caller": "cli.py"}, "does not import"),
        ({"caller": "ops/api.py"}, "not before it"),
        ({"file": "cli.py"}, "named twice"),
    ],
)
def test_a_path_that_the_code_does_not_have_is_noticed(generator, change, message):
    hops = list(generator.DOWN)
    place = next(n for n, hop in enumerate(hops) if hop.file == "recipes/setup.py")
    hops[place] = replace(hops[place], **change)
    with pytest.raises(ValueError, match=message):
        generator.check_path(hops)


def test_a_caller_that_never_names_the_function_is_noticed(generator):
    hops = generator.DOWN[:3] + [replace(generator.DOWN[3], function="_check_one_process")]
    with pytest.raises(ValueError, match="does not name"):
        generator.check_path(hops)


def test_every_room_has_a_purpose_and_every_import_an_arrow_or_a_way(generator):
    assert list(generator.PURPOSES) == generator.ROOMS
    arrows = generator.arrows()
    below = {room: {lower for upper, lower in arrows if upper == room} for room in generator.ROOMS}
    for room in reversed(generator.ROOMS):
        below[room] |= {far for near in below[room] for far in below[near]}
    for room, others in generator.imports_between_rooms().items():
        if room in generator.boxes():
            assert others & set(generator.boxes()) <= below[room], room


def test_arrows_go_down_and_over_no_box(generator):
    boxes = generator.boxes()
    draw = sys.modules["draw_rooms"]  # which the generator has put on the path
    for upper, lower in generator.arrows():
        (x, y), (x2, y2) = draw.ends(boxes[upper], boxes[lower])
        assert y2 > y, (upper, lower)
        for share in range(1, 100):
            at = x + (x2 - x) * share / 100, y + (y2 - y) * share / 100
            for name, box in boxes.items():
                away = abs(at[0] - box.middle[0]), abs(at[1] - box.middle[1])
                assert away[0] > draw.WIDTH / 2 or away[1] > draw.HEIGHT / 2, (upper, lower, name)


def test_every_file_that_contributing_names_is_there():
    root = DOCS.parent
    text = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([\w/]+\.(?:py|md))`", text))
    there = [
        path.as_posix()
        for folder in ("src", "tests", "docs")
        for path in root.glob(f"{folder}/**/*")
    ]
    there += [path.as_posix() for path in root.glob("*.md")]
    assert len(named) > 15
    assert [name for name in named if not any(p.endswith(f"/{name}") for p in there)] == []
