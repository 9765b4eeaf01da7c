"""Layer maps: pairs of a student layer and the teacher layer it learns from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..choices import Option
from ..errors import InputError

LayerMapSpec = str | Sequence[Sequence[int]] | Mapping[int, int]


class LayerStrategy(Option):
    """Named layer maps."""

    UNIFORM = "uniform"
    LAST = "last"
    FIRST = "first"

    @classmethod
    def _argument(cls) -> str:
        return "a layer map that is not pairs [[student layer, teacher layer], …]"


@dataclass(frozen=True)
class LayerMap:
    """Pairs (student layer, teacher layer), 0-based."""

    pairs: tuple[tuple[int, int], ...]

    @property
    def student_layers(self) -> list[int]:
        """The student layers that learn, each once, ascending."""
        return sorted({student for student, _ in self.pairs})

    @property
    def teacher_layers(self) -> list[int]:
        """The teacher layers that teach, each once, ascending."""
        return sorted({teacher for _, teacher in self.pairs})


def resolve_layer_map(spec: LayerMapSpec, student_layers: int, teacher_layers: int) -> LayerMap:
    """Turn a strategy or explicit pairs into a checked `LayerMap`.

    Args:
        spec: ``"uniform"`` (student layer i learns from round((i+1)·L_t/L_s − 1), so that the last
            learns from the last: 6 → 3 gives 1, 3, 5; Jiao et al. 2020 found it best for BERT),
            ``"last"`` (the teacher's last L_s layers), ``"first"`` (its first L_s), or explicit
            pairs ``[[student, teacher], …]`` or ``{student: teacher}``, 0-based. For models that
            mix types of layers see `uniform_by_type`.
        student_layers: L_s, the student's number of layers.
        teacher_layers: L_t, the teacher's.

    Raises:
        InputError: an unknown strategy, a layer out of range, a pair given twice, or a student
            deeper than the teacher for ``"last"`` and ``"first"``.
    """
    if isinstance(spec, str):
        teachers = _teachers(LayerStrategy(spec), student_layers, teacher_layers)
        return LayerMap(tuple(enumerate(teachers)))
    pairs = tuple(_pairs(spec.items() if isinstance(spec, Mapping) else spec))
    _check_pairs(pairs, student_layers, teacher_layers)
    return LayerMap(pairs)


def uniform_by_type(student_types: Sequence[str], teacher_types: Sequence[str]) -> LayerMap:
    """The map ``"uniform"`` within each type of layers, for models that mix types.

    A student's sliding-window layers learn from the teacher's sliding-window layers, those of full
    attention from its full ones. Layers of a type that the teacher lacks learn as ``"uniform"``
    pairs them by number.

    Args:
        student_types: the type of each of the student's layers.
        teacher_types: of each of the teacher's.
    """
    by_number = _teachers(LayerStrategy.UNIFORM, len(student_types), len(teacher_types))
    teachers = dict(enumerate(by_number))
    for kind in set(student_types) & set(teacher_types):
        ours, theirs = (
            [number for number, each in enumerate(types) if each == kind]
            for types in (student_types, teacher_types)
        )
        chosen = _teachers(LayerStrategy.UNIFORM, len(ours), len(theirs))
        teachers |= {layer: theirs[n] for layer, n in zip(ours, chosen, strict=True)}
    return LayerMap(tuple(teachers.items()))


def _teachers(strategy: LayerStrategy, student_layers: int, teacher_layers: int) -> list[int]:
    """The teacher layer of each student layer."""
    if strategy is LayerStrategy.UNIFORM:
        depth_ratio = teacher_layers / student_layers
        return [max(0, round((i + 1) * depth_ratio - 1)) for i in range(student_layers)]
    if student_layers > teacher_layers:
        raise InputError(
            f"layer map '{strategy}' needs a student no deeper than its teacher, but the student "
            f"has {student_layers} layers and the teacher {teacher_layers}; use 'uniform' or pairs"
        )
    start = teacher_layers - student_layers if strategy is LayerStrategy.LAST else 0
    return list(range(start, start + student_layers))


def _pairs(spec: Iterable[Sequence[int]]) -> Iterable[tuple[int, int]]:
    for pair in spec:
        numbers = list(pair) if isinstance(pair, Sequence) and not isinstance(pair, str) else [pair]
        if len(numbers) != 2 or any(type(number) is not int for number in numbers):
            raise InputError(
                "a layer map is a list of pairs [student layer, teacher layer], "
                f"but it holds {pair!r}"
            )
        yield numbers[0], numbers[1]


def _check_pairs(
    pairs: tuple[tuple[int, int], ...], student_layers: int, teacher_layers: int
) -> None:
    if not pairs:
        raise InputError("the layer map is empty: give at least one [student layer, teacher layer]")
    for student, teacher in pairs:
        for side, layer, count in (
            ("student", student, student_layers),
            ("teacher", teacher, teacher_layers),
        ):
            if not 0 <= layer < count:
                raise InputError(
                    f"layer map pair [{student}, {teacher}]: the {side} has layers 0 to "
                    f"{count - 1}, not {layer} (numbers are 0-based)"
                )
    if len(set(pairs)) < len(pairs):
        raise InputError(f"the layer map names a pair twice: {[list(pair) for pair in pairs]}")
