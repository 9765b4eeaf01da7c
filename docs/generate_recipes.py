"""Write docs/recipes.md: every key of a recipe, from the dataclasses that check it."""

import inspect
import re
from dataclasses import MISSING, Field, fields
from enum import Enum
from pathlib import Path
from typing import Any

import yaml

from attndistill.objectives import AttentionTerm, LogitsTerm, RelationTerm, TaskTerm
from attndistill.reading import settings_of, to_plain
from attndistill.recipes.config.argument_rules import ELSEWHERE, SPELT_OUT
from attndistill.recipes.config.dataset import DataConfig
from attndistill.recipes.config.recipe import TeacherConfig
from attndistill.recipes.config.student import FreshStudent, KeptLayers, Lora, StudentModel
from attndistill.tasks import TASKS, task_class
from attndistill.training import DistillationArguments

ROOT = Path(__file__).parents[1]
HEADING = "| key | default | meaning |\n|---|---|---|"
# Their values are what the section is about, or are written with other keys' help.
OWN_WORDS = {
    "layers": "which teacher layer teaches which student layer: `uniform`, `last`, `first`, or "
    "pairs `[[student layer, teacher layer], …]`, numbered from 0 within the group of layers",
    "item": "what a row of logits predicts (`example`, `token`, `next_token`, `target_token`); "
    "null: determined by the model's class",
}
TERM_DEFAULTS = {"layers": "`uniform`"}


def page() -> str:
    """The whole page."""
    template = Path(__file__).with_name("recipes.in.md").read_text(encoding="utf-8")
    tables = {
        "teacher": table(TeacherConfig),
        "keep_layers": table(KeptLayers),
        "fresh": table(FreshStudent),
        "model": table(StudentModel),
        "lora": table(Lora),
        "places": table(DataConfig),
        "tasks": "\n\n".join(f"### {name}\n\n{table(task_class(name))}" for name in TASKS),
        "task_term": table(TaskTerm),
        "logits_term": table(LogitsTerm),
        "attention_term": table(AttentionTerm, TERM_DEFAULTS),
        "relation_term": table(RelationTerm, TERM_DEFAULTS),
        "spelt_out": spelt_out(),
        "elsewhere": "\n".join(f"- `{name}`: {reason}." for name, reason in ELSEWHERE.items()),
    }
    for name, text in tables.items():
        template = template.replace(f"{{{name}}}", text)
    return template


def table(kind: type, defaults: dict[str, str] | None = None) -> str:
    """The keys of a dataclass, in its order."""
    meanings = attributes(kind)
    lines = [HEADING]
    for field in settings_of(kind):
        meaning = OWN_WORDS.get(field.name, meanings[field.name])
        if isinstance(field.default, Enum) and field.default.value not in meaning:
            meaning += f": {', '.join(f'`{each.value}`' for each in type(field.default))}"
        default = (defaults or {}).get(field.name, default_of(field))
        lines.append(f"| `{field.name}` | {default} | {meaning} |")
    return "\n".join(lines)


def attributes(kind: type) -> dict[str, str]:
    """What the docstrings of a dataclass and those it extends say of each field."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        section = inspect.cleandoc(base.__doc__ or "").split("Attributes:\n")
        if len(section) < 2:
            continue
        lines = re.sub(r"\n {8,}", " ", section[1].split("\n\n")[0]).splitlines()
        named = (re.fullmatch(r" {4}([\w, ]+): (.*)", line) for line in lines)
        for match in filter(None, named):
            found |= dict.fromkeys(match[1].split(", "), as_markdown(match[2]))
    return found


def as_markdown(text: str) -> str:
    """A docstring's line for a table."""
    text = re.sub(r"\bNone\b", "`null`", text.replace("``", "`").replace("|", r"\|"))
    return text.removesuffix(".")


def default_of(field: Field) -> str:
    """A field's default as a recipe would write it."""
    if field.default is MISSING:
        return "required"
    return f"`{flow(field.default)}`"


def flow(value: Any) -> str:
    """A value as YAML on one line."""
    text = yaml.safe_dump(to_plain(value), default_flow_style=True, sort_keys=False, width=1000)
    return text.removesuffix("\n").removesuffix("\n...")


def spelt_out() -> str:
    """Transformers' defaults of the training arguments that a resolved recipe spells out."""
    known = {field.name: field.default for field in fields(DistillationArguments)}
    lines = ["| key | default |", "|---|---|"]
    lines += [f"| `{name}` | `{flow(known[name])}` |" for name in SPELT_OUT]
    return "\n".join(lines)


if __name__ == "__main__":
    (ROOT / "docs" / "recipes.md").write_text(page(), encoding="utf-8")
