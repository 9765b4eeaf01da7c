"""What a run is about to do, in lines for its user."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from transformers import PreTrainedModel

from ..capture import attention_layers
from ..matching import GroupMatch
from .schema import Recipe
from .student import FreshStudent, KeptLayers, StudentModel


def plan_lines(
    recipe: Recipe,
    teacher: PreTrainedModel,
    student: PreTrainedModel,
    matches: Mapping[str, GroupMatch],
) -> Iterator[str]:
    """Where teacher and student come from, the objective, and which layer teaches which."""
    yield f"Teacher: {recipe.teacher.model}: {architecture(teacher)}"
    yield f"Student: {_origin(recipe)}: {architecture(student)}"
    lora = getattr(recipe.student, "lora", None)
    if lora is not None:
        yield f"Trained: adapters ({_settings(asdict(lora))}) and the head, merged at the end"
    terms = recipe.to_dict()["objective"]
    yield "Objective: " + "; ".join(f"{name} ({_settings(term)})" for name, term in terms.items())
    for name, match in matches.items():
        yield f"Layers of {name} ({match.student}; student from teacher, numbered from 0):"
        yield from (f"  {ours} from {theirs}" for ours, theirs in match.layer_map.pairs)


def architecture(model: PreTrainedModel) -> str:
    """A model's class and measures, such as ``Bert…, 6 attention layers, 12 heads, 384 wide``."""
    config = model.config
    heads = getattr(config, "num_attention_heads", None)
    width = getattr(config, "hidden_size", None)
    measures = [
        f"{len(attention_layers(model))} attention layers",
        f"{heads} heads",
        f"{width} wide",
    ]
    return ", ".join([type(model).__name__, *measures])


def _origin(recipe: Recipe) -> str:
    match recipe.student:
        case KeptLayers(keep_layers=layers):
            return f"the teacher's layers {_listed(layers)}"
        case FreshStudent(config=config):
            return f"fresh weights, the teacher's config with {_settings(config)}"
        case StudentModel(model=name):
            return name


def _listed(layers: Sequence[int] | Mapping[str, Sequence[int]]) -> str:
    if isinstance(layers, Mapping):
        return "; ".join(f"{stack} {_listed(kept)}" for stack, kept in layers.items())
    return ", ".join(map(str, layers))


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
