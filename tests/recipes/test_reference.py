"""The pages on recipes and tasks cannot rot: generated text is current, every recipe reads."""

import importlib.util
import re
from pathlib import Path

import pytest
import yaml

from attndistill.recipes.config.recipe import load_recipe
from attndistill.tasks import TASKS

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("tasks.md", "recipes.md")


def generator():
    spec = importlib.util.spec_from_file_location("generate_recipes", DOCS / "generate_recipes.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blocks(page):
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)


def stub(raw):
    """Put something at every path that a recipe names."""
    for name in ("train", "validation", "test"):
        sources = raw["data"].get(name) or []
        for source in [sources] if isinstance(sources, str) else sources:
            path = Path(source)
            if path.suffix:
                path.touch()
            else:
                path.mkdir(parents=True)
    Path(raw["teacher"]["model"]).mkdir(parents=True)


def test_the_page_of_all_keys_is_what_the_classes_say():
    page = (DOCS / "recipes.md").read_text(encoding="utf-8")
    assert page == generator().page(), "run python docs/generate_recipes.py"
    assert "{" + "teacher}" not in page
    # A docstring that says None would mislead: a recipe has null.
    assert not re.findall(r"^\| `.*\bNone\b", page, re.MULTILINE)


def test_what_docstrings_say_of_a_field_is_found_whole():
    found = generator()

    class Base:
        """A base.

        Attributes:
            first, second: said of ``both``,
                on two lines.
        """

    class Derived(Base):
        """Without a say of its own on the first.

        Attributes:
            second: said anew; None for nothing.

        Raises:
            ValueError: never.
        """

    assert found.attributes(Derived) == {
        "first": "said of `both`, on two lines",
        "second": "said anew; `null` for nothing",
    }


@pytest.mark.parametrize(
    ("page", "number"),
    [(page, number) for page in PAGES for number in range(len(blocks(page)))],
)
def test_every_recipe_of_the_pages_reads(page, number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = blocks(page)[number]
    raw = yaml.safe_load(text)
    stub(raw)
    Path("recipe.yaml").write_text(text, encoding="utf-8")
    recipe = load_recipe("recipe.yaml")
    assert recipe.task.name == raw["task"]
    assert set(recipe.terms) >= set(raw.get("objective", {}))
    resolved = recipe.to_dict()
    for key, value in raw["data"].items():
        if key not in ("train", "test", "columns"):
            assert resolved["data"][key] == value, key
    for role, column in raw["data"].get("columns", {}).items():
        assert resolved["data"]["columns"][role] == column


def test_every_task_has_a_section_and_a_recipe():
    text = (DOCS / "tasks.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## ([a-z-]+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(sections) == list(TASKS)
    for task, section in sections.items():
        first = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)[0]
        assert yaml.safe_load(first)["task"] == task
        for row in ("columns", "learnt", "decides", "`metric` takes", "collator", "used by"):
            assert f"| {row} |" in section, (task, row)
