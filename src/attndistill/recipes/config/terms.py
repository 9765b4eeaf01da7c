"""A recipe's objective: the one place where a term's name becomes a term."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...errors import InputError, shown
from ...matching import LayerMapSpec
from ...matching.layers import LayerStrategy
from ...objectives import AttentionTerm, LayerwiseTerm, Objective, RelationTerm, TaskTerm, Term
from ...reading import LENIENT, as_mapping, join, refuse_unknown
from ...tasks import Task

# In the order in which a comparison adds them.
TERMS = (
    "task",
    "logits",
    "attention",
    "encoder_attention",
    "decoder_attention",
    "cross_attention",
    "relation",
)


def read_objective(raw: Any, task: Task) -> dict[str, Term]:
    """Check a recipe's ``objective``.

    Raises:
        InputError: an unknown term, or one that the task does not have; a wrong setting.
    """
    settings = as_mapping(raw, "objective")
    refuse_unknown(settings, TERMS, "objective")
    terms = {}
    for name in TERMS:
        if name not in settings:
            continue
        path = join("objective", name)
        if refusal := _refusal(name, task):
            raise InputError(f"{path} {refusal}: remove the line")
        if settings[name] is None:
            raise InputError(f"{path} is empty: write {{}} for its defaults, or remove the line")
        terms[name] = _read_term(name, as_mapping(settings[name], path), task, path)
    Objective(terms)
    return terms


def default_objective(task: Task) -> dict[str, Any]:
    """The terms of a recipe that names none, with their defaults."""
    return {name: {} for name in task.default_terms if _refusal(name, task) is None}


def _read_term(name: str, term: dict[str, Any], task: Task, path: str) -> Term:
    match name:
        case "task":
            return LENIENT.settings(TaskTerm, term, path)
        case "logits":
            assert task.logits_term is not None, "refused before"
            return LENIENT.settings(task.logits_term, term, path)
        case "encoder_attention":
            return _layerwise(AttentionTerm, term, path, stack="encoder")
        case "decoder_attention":
            return _layerwise(AttentionTerm, term, path, stack="decoder")
        case "cross_attention":
            return _layerwise(AttentionTerm, term, path, stack="decoder", cross=True)
        case "relation":
            return _layerwise(RelationTerm, term, path)
        case _:
            return _layerwise(AttentionTerm, term, path)


def _layerwise(
    kind: type[LayerwiseTerm], term: dict[str, Any], path: str, **named: Any
) -> LayerwiseTerm:
    """A term on attention layers; ``named`` holds the settings that its name implies."""
    for name, value in named.items():
        if term.get(name, value) != value:
            raise InputError(
                f"{path}.{name} is always {value!r} for a term of this name, not "
                f"{term[name]!r}: remove the line"
            )
    layers = _read_layers(term.pop("layers", LayerStrategy.UNIFORM.value), f"{path}.layers")
    return replace(LENIENT.settings(kind, {**term, **named}, path), layers=layers)


def _read_layers(raw: Any, path: str) -> LayerMapSpec:
    """Check the type only: the numbers of layers are known once the models are loaded."""
    if isinstance(raw, str | Sequence | Mapping):
        return raw
    raise InputError(
        f"{path} must be {', '.join(LayerStrategy)} or pairs [[student layer, teacher layer], …], "
        f"not {shown(raw)}"
    )


def _refusal(term: str, task: Task) -> str | None:
    """Why a task cannot have this term; None if it can."""
    if term == "task" and not task.labelled:
        return "needs labels, but the data has none"
    if term == "logits" and task.logits_term is None:
        return f"compares logits, but models for {task.name} have none"
    return None
