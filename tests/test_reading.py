"""Plain data into dataclasses and back, as recipes (lenient) and reports (strict) read it."""

import math
from dataclasses import dataclass, field
from enum import StrEnum

import pytest

from attndistill.errors import InputError
from attndistill.reading import LENIENT, PYTHON_ONLY, STRICT, json_number, to_plain


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Circle:
    radius: float | None


@dataclass(frozen=True)
class Box:
    sides: tuple[int, float]
    colour: Colour = Colour.RED


@dataclass(frozen=True)
class Drawing:
    shapes: tuple[Circle | Box, ...] = ()
    names: dict[str, int] = field(default_factory=dict)
    pen: object = field(default=None, metadata={PYTHON_ONLY: True})


def refused(reader, kind, plain):
    with pytest.raises(InputError) as caught:
        reader.settings(kind, plain, "x")
    return str(caught.value)


@pytest.mark.parametrize("reader", [LENIENT, STRICT])
def test_what_was_written_reads_back(reader):
    drawing = Drawing((Circle(None), Box((2, 0.5)), Circle(1.5)), {"a": 1}, pen=object())
    plain = to_plain(drawing)
    assert plain == {
        "shapes": [{"radius": None}, {"sides": [2, 0.5], "colour": "red"}, {"radius": 1.5}],
        "names": {"a": 1},
    }
    again = reader.settings(Drawing, plain, "")
    assert again == Drawing(drawing.shapes, drawing.names)
    assert again.shapes[1].colour is Colour.RED


@pytest.mark.parametrize("reader", [LENIENT, STRICT])
@pytest.mark.parametrize(
    ("plain", "message"),
    [
        ({"shape": []}, "unknown key x.shape; did you mean 'shapes'?; known keys: shapes, names"),
        ({"pen": 1}, "unknown key x.pen; known keys: shapes, names"),
        ({"names": {"a": 1, "b": "c"}}, "x.names.b must be a whole number, not 'c'"),
        ({"shapes": [{"radius": 1}, 2]}, "x.shapes[1] must be a mapping, not 2"),
        ({"shapes": [{"sides": [1]}]}, "x.shapes[0].sides must have 2 items, not 1"),
        ({"shapes": [{"colour": "red"}]}, "x.shapes[0].sides is missing"),
        (
            {"shapes": [{"radius": 1, "colour": "red"}]},
            "x.shapes[0] has the keys radius, colour; it takes radius; or sides, colour",
        ),
        (
            {"shapes": [{"sides": [1, 2], "colour": "rde"}]},
            "x.shapes[0].colour is 'rde'; did you mean 'red'?; choose red",
        ),
    ],
)
def test_the_place_is_named(reader, plain, message):
    assert refused(reader, Drawing, plain) == message


@pytest.mark.parametrize(
    ("sides", "expected"), [(["2", "5e-1"], (2, 0.5)), ([2.0, 1], (2, 1.0)), ([2, True], None)]
)
def test_only_the_lenient_reader_takes_numbers_for_what_they_spell(sides, expected):
    if expected is None:
        assert "x.sides[1] must be a number, not True" in refused(LENIENT, Box, {"sides": sides})
    else:
        assert LENIENT.settings(Box, {"sides": sides}, "x") == Box(expected)
    assert "x.sides" in refused(STRICT, Box, {"sides": sides})


def test_numbers_that_are_not_finite_are_a_reports_only():
    plain = to_plain(Circle(math.inf), number=json_number)
    assert plain == {"radius": "inf"}
    assert STRICT.settings(Circle, plain, "x") == Circle(math.inf)
    assert refused(LENIENT, Circle, plain) == "x.radius must be a finite number, not 'inf'"
    for wrong in ([], "1.0", True):
        message = f"x.radius must be a number or empty (null), not {wrong!r}"
        assert refused(STRICT, Circle, {"radius": wrong}) == message
