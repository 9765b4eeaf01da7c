"""What a run is about to do, in lines for its user."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from transformers import PreTrainedConfig, PreTrainedModel

from ..capture import attention_layers
from .build import Student
from .config.recipe import Recipe
from .config.student import FreshStudent, KeptLayers, StudentModel

ALWAYS_TOLD = ("weight", "kind", "temperature")
# Shown by the lines on which layer teaches which.
TOLD_BELOW = ("stack", "cross", "layers")


def plan_lines(recipe: Recipe, teacher: PreTrainedModel, student: Student) -> Iterator[str]:
    """Where teacher and student come from, the objective, and which layer teaches which."""
    yield f"Teacher: {recipe.teacher.model}: {architecture(teacher)}"
    yield f"Student: {_origin(recipe)}: {architecture(student.model)}"
    lora = getattr(recipe.student, "lora", None)
    if lora is not None:
        yield f"Trained: adapters ({_settings(asdict(lora))}) and the head, merged at the end"
    terms = recipe.terms.items()
    yield "Objective: " + "; ".join(f"{name} ({_settings(_telling(t))})" for name, t in terms)
    for name, match in student.matches.items():
        yield f"Layers of {name} ({match.student}; student from teacher, numbered from 0):"
        for ours, theirs in match.layer_map.pairs:
            note = ", layers of different types" if (ours, theirs) in match.other_types else ""
            yield f"  {ours} from {theirs}{note}"


def architecture(model: PreTrainedModel) -> str:
    """A model's class and sizes, by stack where it has several.

    Such as ``Bert…, 6 attention layers, 12 heads, 384 wide``, or ``Bart…, encoder 6 + decoder 6
    attention layers, …``: cross-attention is a part of the decoder's.
    """
    stacks = Counter(layer.stack for layer in attention_layers(model) if layer.kind == "self")
    counts = " + ".join(f"{stack} {n}" for stack, n in stacks.items())
    counts = counts if len(stacks) > 1 else str(stacks.total())
    measures = {stack: _measures(model.config, stack) for stack in stacks}
    if len(set(measures.values())) > 1:
        sizes = "; ".join(f"{stack} {', '.join(sizes)}" for stack, sizes in measures.items())
    else:
        sizes = ", ".join(next(iter(measures.values()), ()))
    return ", ".join(filter(None, [type(model).__name__, f"{counts} attention layers", sizes]))


def _measures(config: PreTrainedConfig, stack: str) -> tuple[str, ...]:
    """Heads and width of a stack, as far as its config names them."""
    inner = (getattr(config, name, None) for name in (stack, f"{stack}_config"))
    config = next((found for found in inner if isinstance(found, PreTrainedConfig)), config)
    heads = getattr(config, f"{stack}_attention_heads", None)
    heads = heads or getattr(config, "num_attention_heads", None)
    width = getattr(config, "hidden_size", None)
    return (*([f"{heads} heads"] if heads else []), *([f"{width} wide"] if width else []))


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


def _telling(term: Any) -> dict[str, Any]:
    """Weight, divergence and temperature of a term, and whatever else is not its default."""
    values = {field.name: (getattr(term, field.name), field.default) for field in fields(term)}
    return {
        name: value
        for name, (value, default) in values.items()
        if name in ALWAYS_TOLD or (name not in TOLD_BELOW and value != default)
    }


def _settings(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())
