"""Groups of attention layers: which one a term compares, and whose tokens its queries are."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from torch import nn

from ..capture import attention_layers
from ..errors import InputError
from .layers import LayerMap, LayerMapSpec, LayerStrategy, resolve_layer_map, uniform_by_type


class LayerGroup(NamedTuple):
    """A stack's self-attention or cross-attention; layers are numbered within it."""

    stack: str
    kind: str

    def __str__(self) -> str:
        return f"{self.stack} {self.kind}-attention"


class Queries(StrEnum):
    """Whose tokens are a group's queries, and so where a batch marks padded query rows."""

    INPUT = "input"
    TARGET = "target"


@dataclass(frozen=True, kw_only=True)
class GroupMatch:
    """One group of attention layers in two models, paired layer by layer.

    Attributes:
        student: the student's group.
        teacher: the teacher's.
        layer_map: the pairs, numbered within the groups.
        queries: whose tokens the queries are: the input's, or those of a seq2seq model's decoder.
        causal: whether a query sees no key after itself.
        other_types: the pairs whose layers are of different types, such as a sliding window
            beside full attention: they see different keys in long texts.
    """

    student: LayerGroup
    teacher: LayerGroup
    layer_map: LayerMap
    queries: Queries = Queries.INPUT
    causal: bool = False
    other_types: tuple[tuple[int, int], ...] = ()


def match_layers(
    student: nn.Module,
    teacher: nn.Module,
    spec: LayerMapSpec = "uniform",
    *,
    stack: str | None = None,
    cross: bool = False,
) -> GroupMatch:
    """Find a group of attention layers in both models and pair its layers.

    Args:
        student: the model that learns.
        teacher: the model it learns from.
        spec: which teacher layer teaches which student layer, see `resolve_layer_map`.
        stack: ``"encoder"``, ``"decoder"``, ``"text"`` or ``"vision"``; None for the only one.
        cross: cross-attention in place of self-attention.

    Raises:
        InputError: a model has no such group, or several; or the map does not fit.
    """
    group, types = _find_group(student, "student", stack, cross)
    other, other_types = _find_group(teacher, "teacher", stack, cross)
    if spec == LayerStrategy.UNIFORM:
        layer_map = uniform_by_type(types, other_types)
    else:
        layer_map = resolve_layer_map(spec, len(types), len(other_types))
    decoder = group.stack == "decoder"
    seq2seq = decoder and bool(getattr(student.config, "is_encoder_decoder", False))
    return GroupMatch(
        student=group,
        teacher=other,
        layer_map=layer_map,
        other_types=tuple(
            (ours, theirs) for ours, theirs in layer_map.pairs if types[ours] != other_types[theirs]
        ),
        queries=Queries.TARGET if seq2seq else Queries.INPUT,
        causal=decoder and not cross,
    )


def _find_group(
    model: nn.Module, side: str, stack: str | None, cross: bool
) -> tuple[LayerGroup, list[str]]:
    """The group's name in this model, and the types of its layers."""
    types: dict[LayerGroup, list[str]] = {}
    for layer in attention_layers(model):
        types.setdefault(LayerGroup(layer.stack, layer.kind), []).append(layer.type)
    kind = "cross" if cross else "self"
    found = [group for group in types if group.kind == kind and stack in (None, group.stack)]
    if len(found) == 1:
        return found[0], types[found[0]]
    has = f"the {side}, {type(model).__name__}, has {', '.join(map(str, types))}"
    if found:
        raise InputError(
            f"{has}: set stack to the one that the term compares "
            f"({', '.join(group.stack for group in found)}), and give one term for each group "
            "to distil (cross: true is cross-attention)"
        )
    wanted = f"{stack} {kind}-attention" if stack else f"{kind}-attention"
    raise InputError(f"{has}, but no {wanted} that can be captured")
