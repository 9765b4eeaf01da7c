"""A recipe's student: one of three kinds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import InputError
from ...reading import LENIENT, as_mapping, refuse_unknown


@dataclass(frozen=True, kw_only=True)
class Lora:
    """Train low-rank adapters (Hu et al. 2022) and the head, and merge them at the end.

    Attributes:
        r: rank.
        lora_alpha: the adapters' outputs are multiplied by lora_alpha / r.
        lora_dropout: dropout on the adapters' inputs.
        target_modules: ``all-linear``, names of linear layers, or None for those that PEFT adapts
            in this architecture.
    """

    r: int = 8
    lora_alpha: int = 16
    lora_dropout: float = 0.0
    target_modules: str | list[str] | None = None

    def __post_init__(self) -> None:
        if self.r < 1 or self.lora_alpha < 1:
            raise InputError(
                f"r and lora_alpha must be above 0, not {self.r} and {self.lora_alpha}"
            )
        if not 0 <= self.lora_dropout < 1:
            raise InputError(
                f"lora_dropout must be at least 0 and below 1, not {self.lora_dropout}"
            )
        if self.target_modules == []:
            raise InputError("target_modules is an empty list: nothing would be adapted")


@dataclass(frozen=True, kw_only=True)
class KeptLayers:
    """A student made of some of the teacher's layers, with their weights.

    Attributes:
        keep_layers: layer numbers from 0, ascending; for a model with several stacks by stack, as
            in ``{encoder: [0, 2], decoder: [0]}``: a stack that is not named is kept whole.
        lora: train adapters in place of all weights.
    """

    keep_layers: tuple[int, ...] | Mapping[str, tuple[int, ...]]
    lora: Lora | None = None


@dataclass(frozen=True, kw_only=True)
class StudentModel:
    """A student that starts from another model than the teacher.

    Attributes:
        model: a folder, or a name on the model hub; with the teacher's tokenizer and labels.
        lora: train adapters in place of all weights.
    """

    model: str
    lora: Lora | None = None


@dataclass(frozen=True, kw_only=True)
class FreshStudent:
    """A student of the teacher's architecture with fresh weights.

    Attributes:
        config: the fields of the teacher's config that differ, by Transformers' names, such as
            ``{num_hidden_layers: 2, hidden_size: 192}``.
    """

    config: Mapping[str, Any]


StudentConfig = KeptLayers | StudentModel | FreshStudent


def read_student(raw: Any) -> StudentConfig:
    """Check a recipe's ``student``.

    Raises:
        InputError: it is not exactly one of the three kinds, or a setting is wrong.
    """
    settings = as_mapping(raw, "student")
    kinds = {"keep_layers": KeptLayers, "model": StudentModel, "config": FreshStudent}
    refuse_unknown(settings, [*kinds, "lora"], "student")
    given = [name for name in settings if name in kinds]
    if len(given) != 1:
        raise InputError(
            f"student must have exactly one of {', '.join(kinds)}; it has "
            f"{', '.join(given) or 'none'}"
        )
    if given == ["config"] and settings.pop("lora", None) is not None:
        raise InputError(
            "student.lora adapts weights that are trained already; fresh weights (student.config) "
            "are trained as a whole: remove lora"
        )
    return LENIENT.settings(kinds[given[0]], settings, "student")
