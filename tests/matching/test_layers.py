import pytest

from attndistill.errors import InputError
from attndistill.matching import resolve_layer_map
from attndistill.matching.layers import uniform_by_type


@pytest.mark.parametrize(
    ("spec", "student", "teacher", "expected"),
    [
        ("uniform", 3, 6, [1, 3, 5]),
        ("uniform", 4, 12, [2, 5, 8, 11]),
        ("uniform", 2, 5, [2, 4]),
        ("uniform", 6, 3, [0, 0, 0, 1, 2, 2]),
        ("last", 2, 6, [4, 5]),
        ("first", 2, 6, [0, 1]),
        ([[0, 2], [1, 5]], 2, 6, [2, 5]),
        ({0: 2, 1: 5}, 2, 6, [2, 5]),
    ],
)
def test_maps(spec, student, teacher, expected):
    assert resolve_layer_map(spec, student, teacher).pairs == tuple(enumerate(expected))


def test_uniform_ends_on_the_teachers_last_layer():
    for student in range(1, 13):
        for teacher in range(student, 25):
            taught_by = [t for _, t in resolve_layer_map("uniform", student, teacher).pairs]
            assert taught_by[-1] == teacher - 1
            assert taught_by == sorted(set(taught_by))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("unifrom", r"pairs .* is 'unifrom'; did you mean 'uniform'.; choose uniform, last, first"),
        ([[0, 6]], "the teacher has layers 0 to 5, not 6"),
        ([[2, 0]], "the student has layers 0 to 1, not 2"),
        ([[0, -1]], "not -1"),
        ([[0, 1, 2]], "pairs"),
        ([0, 1], "pairs"),
        ([[True, 1]], "pairs"),
        ([], "empty"),
        ([[0, 1], [0, 1]], "twice"),
    ],
)
def test_wrong_maps_are_refused(spec, message):
    with pytest.raises(InputError, match=message):
        resolve_layer_map(spec, 2, 6)


def test_a_student_deeper_than_its_teacher_has_no_last_map():
    with pytest.raises(InputError, match="no deeper"):
        resolve_layer_map("last", 7, 6)


def test_uniform_pairs_layers_of_one_type():
    sliding, full = "sliding_attention", "full_attention"
    gemma = ([sliding] * 5 + [full]) * 2
    layer_map = uniform_by_type(gemma[:6], gemma)
    assert layer_map.pairs == ((0, 1), (1, 3), (2, 6), (3, 8), (4, 10), (5, 11))
    assert uniform_by_type([full] * 2, gemma).pairs == ((0, 5), (1, 11))
    assert uniform_by_type([full] * 3, [full] * 6) == resolve_layer_map("uniform", 3, 6)
    # What the teacher has no layer of is paired by number.
    assert uniform_by_type([sliding, full], ["chunked_attention", full]).pairs == ((0, 0), (1, 1))
