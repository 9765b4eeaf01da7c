from itertools import pairwise

import pytest
import yaml

from attndistill.errors import InputError
from attndistill.objectives import AttentionTerm, LogitsTerm, TaskTerm
from attndistill.recipes.config.recipe import load_recipe
from attndistill.recipes.config.student import FreshStudent
from attndistill.recipes.config.yaml_file import dump_yaml


def load(workplace, recipe, *settings, **options):
    return load_recipe(workplace.write(recipe), settings=settings, **options)


def refused(workplace, recipe, *settings):
    with pytest.raises(InputError) as caught:
        load(workplace, recipe, *settings)
    return str(caught.value)


def changed(recipe, dotted, value):
    *parents, last = dotted.split(".")
    inner = recipe
    for name in parents:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return recipe


def test_the_contract_of_the_design_reads(workplace):
    text = f"""
task: classification
teacher:
  {{model: {workplace.shared}/encoder, train: {{num_train_epochs: 1, learning_rate: 5.0e-5}}}}
student: {{keep_layers: [1, 3]}}
data: {{train: train.csv, validation: validation.csv, test: test.csv,
       columns: {{text: review, text_pair: null, label: stars}}, max_length: 32}}
objective: {{task: {{weight: 1.0}}, logits: {{weight: 1.0, temperature: 2.0}},
            attention: {{weight: 1.0, kind: kl, layers: uniform, heads: identity}}}}
training: {{num_train_epochs: 3, load_best_model_at_end: true}}
"""
    file = workplace.shared / "contract.yaml"
    file.write_text(text)
    recipe = load_recipe(file)
    assert dict(recipe.terms) == {
        "task": TaskTerm(),
        "logits": LogitsTerm(),
        "attention": AttentionTerm(layers="uniform"),
    }
    assert recipe.output_dir == "runs/contract"
    assert recipe.data.train == str((workplace.shared / "train.csv").resolve())
    assert recipe.training["metric_for_best_model"] == "accuracy"
    assert recipe.training["eval_strategy"] == recipe.training["save_strategy"] == "epoch"
    assert recipe.teacher.train["seed"] == recipe.seed == 42


def test_the_resolved_recipe_reads_back_as_itself(workplace):
    recipe = load(
        workplace,
        changed(workplace.recipe, "objective.attention.layers", [[0, 1], [1, 3]]),
        "teacher.train={num_train_epochs: 1}",
        "student={config: {num_hidden_layers: 2, layer_norm_eps: 1e-12, limits: [0, .inf]}}",
        "seed=7",
    )
    file = workplace.own / "resolved.yaml"
    file.write_text(dump_yaml(recipe.to_dict()))
    again = load_recipe(file)
    assert again == recipe
    assert again.to_dict() == recipe.to_dict()
    assert again.student == FreshStudent(
        config={"num_hidden_layers": 2, "layer_norm_eps": 1e-12, "limits": [0, float("inf")]}
    )


def test_settings_are_applied_before_checking(workplace):
    recipe = workplace.recipe
    recipe["student"] = {"config": {}}
    loaded = load(workplace, recipe, "student.config.hidden_size=128", output_dir="elsewhere")
    assert loaded.student == FreshStudent(config={"hidden_size": 128})
    assert loaded.output_dir == "elsewhere"
    assert "exactly one of" in refused(workplace, workplace.recipe, "student.model=x")
    assert "--set" in refused(workplace, workplace.recipe, "seed")
    assert "has no keys" in refused(workplace, workplace.recipe, "task.a=1")


@pytest.mark.parametrize(
    ("dotted", "value", "expected"),
    [
        ("data.colums", {}, ["data.colums", "did you mean 'columns'"]),
        ("env", {"A": "b"}, ["unknown key env"]),
        ("training.num_epochs", 3, ["training.num_epochs", "'num_train_epochs'"]),
        ("training.lr_scheduler_type", "cosin", ["training.lr_scheduler_type", "'cosine'"]),
        ("training.train_sampling_strategy", "by_length", ["choose random"]),
        ("training.eval_strategy", "epochs", ["training.eval_strategy", "'epoch'"]),
        ("training.learning_rate", "fast", ["training.learning_rate", "a number", "'fast'"]),
        ("training.num_train_epochs", float("nan"), ["must be a finite number"]),
        ("training.per_device_train_batch_size", 1.5, ["a whole number", "1.5"]),
        ("training.seed", 1, ["training.seed", "top of the recipe"]),
        ("training.output_dir", "x", ["training.output_dir", "--output-dir"]),
        ("training.label_smoothing_factor", 0.1, ["label_smoothing_factor"]),
        ("objective.attention.kind", "kll", ["objective.attention", "'kll'", "kl"]),
        ("objective.attention.layers", 3, ["objective.attention.layers", "uniform"]),
        ("objective.attention.wieght", 1, ["objective.attention.wieght", "'weight'"]),
        ("objective.logits.temperature", 0, ["objective.logits", "above 0"]),
        ("objective.logits", None, ["objective.logits is empty"]),
        ("objective", {}, ["no terms"]),
        ("student.keep_layers", "1,3", ["student.keep_layers", "a list"]),
        ("student.keep_layers", [1, "x"], ["student.keep_layers[1]", "a whole number"]),
        ("student", {}, ["exactly one of", "none"]),
        ("student", [1], ["student must be a mapping"]),
        ("task", "clasification", ["did you mean 'classification'"]),
        ("data.max_length", 1, ["data: max_length"]),
        ("data.columns.text", 3, ["data.columns.text", "text"]),
        ("seed", -1, ["seed"]),
        ("seed", 10**400, ["seed", "a whole number"]),
        ("watts", 0, ["watts must be above 0"]),
        ("student", {"config": {}, "lora": {"r": 4}}, ["student.lora", "remove lora"]),
        ("trust_remote_code", "perhaps", ["trust_remote_code", "true or false"]),
        ("teacher.model", "./nowhere", ["teacher.model", "no folder './nowhere'"]),
        ("data.train", "nowhere.csv", ["data.train", "no file 'nowhere.csv'", "looked in"]),
        ("data.train", [], ["data.train", "empty list"]),
        ("data.test", __file__, ["data.test", ".csv"]),
        ("data.train", "", ["data.train", "no file ''"]),
        ("data.train", "~nobody-here/a.csv", ["data.train", "no file '~nobody-here/a.csv'"]),
        ("data.train", "long/" * 1000 + "a.csv", ["data.train", "no file"]),
        ("teacher.model", "", ["teacher.model", "no folder ''"]),
        ("data.columns.text", "label", ["data.columns", "one role", "label, label"]),
        ("data.name", "sst2", ["data.name", "data.train is a file", "'sst2'"]),
        ("output_dir", "", ["output_dir", "a folder's path"]),
        ("output_dir", "a\0b", ["output_dir", "a folder's path"]),
        ("training.per_device_train_batch_size", 0, ["batch_size", "above 0", "0"]),
        ("training.per_device_eval_batch_size", -1, ["batch_size", "above 0", "-1"]),
        ("training.gradient_accumulation_steps", 0, ["above 0"]),
        ("training.learning_rate", -1e-3, ["training.learning_rate", "above 0", "-0.001"]),
        ("training.num_train_epochs", 0, ["training.num_train_epochs", "above 0"]),
        ("training.max_steps", 0, ["training.max_steps", "num_train_epochs"]),
        ("training.save_steps", 0, ["training.save_steps", "above 0"]),
        ("training.weight_decay", -1, ["training.weight_decay", "below 0"]),
        ("training.adam_beta2", 1.0, ["training.adam_beta2", "below 1"]),
        ("training.dataloader_num_workers", -1, ["num_workers", "below 0"]),
        ("training.push_to_hub", True, ["training.push_to_hub", "student/"]),
        ("training.hub_token", "secret", ["training.hub_token", "hf auth login"]),
        (
            "training",
            {"load_best_model_at_end": True, "eval_strategy": "no"},
            ["training.load_best_model_at_end", "eval_strategy"],
        ),
        ("training.label_names", ["x"], ["training.label_names", "data.columns.label"]),
        ("training.fsdp", "full_shard", ["training.fsdp", "one process"]),
        ("teacher.train", {"seed": -1}, ["teacher.train.seed", "from 0"]),
    ],
)
def test_a_wrong_line_is_named(workplace, dotted, value, expected):
    message = refused(workplace, changed(workplace.recipe, dotted, value))
    for part in expected:
        assert part in message


def test_missing_sections_are_named(workplace):
    for section in ("task", "teacher", "student", "data"):
        recipe = workplace.recipe
        del recipe[section]
        assert f"no {section}" in refused(workplace, recipe)
    assert "teacher.model is missing" in refused(workplace, {**workplace.recipe, "teacher": {}})


@pytest.mark.parametrize(
    ("value", "expected"), [("5e-5", 5e-5), ("1", 1.0), (1, 1.0), ("1e3", 1000.0)]
)
def test_numbers_are_numbers_however_yaml_spells_them(workplace, value, expected):
    text = yaml.safe_dump(workplace.recipe) + "seed: 3\n"
    for quote in ("", "'"):
        line = f"  learning_rate: {quote}{value}{quote}\n"
        file = workplace.own / "numbers.yaml"
        file.write_text(text.replace("training:\n", "training:\n" + line))
        rate = load_recipe(file).training["learning_rate"]
        assert rate == expected
        assert isinstance(rate, float)


def test_no_is_a_strategy_and_yes_a_truth(workplace):
    text = yaml.safe_dump(workplace.recipe)
    lines = "  eval_strategy: no\n  save_strategy: no\n  logging_first_step: yes\n"
    file = workplace.own / "words.yaml"
    file.write_text(text.replace("training:\n", "training:\n" + lines))
    training = load_recipe(file).training
    assert training["eval_strategy"] == "no"
    assert training["logging_first_step"] is True


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 1\nseed: 2\n", ["line 2", "'seed' is given twice"]),
        ("data: {train: a, train: b}\n", ["'train' is given twice"]),
        ("seed: [1\n", ["not valid YAML"]),
        ("- 1\n", ["a recipe must be a mapping"]),
        ("", ["a recipe must be a mapping"]),
        ("a: !!python/object/apply:os.system [ls]\n", ["not valid YAML"]),
        ("seed: !!int abc\n", ["not valid YAML", "abc"]),
        ("seed: !!bool abc\n", ["not valid YAML", "abc"]),
        ("? [a, b]\n: 1\n", ["line 1", "a key must be one word"]),
        ("seed: " + "[" * 3000, ["nested too deeply"]),
        ("seed: &a [*a]\n", ["not valid YAML", "repeat without end"]),
        (
            "x: {a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1], "
            + ", ".join(f"{n}: &{n} [{', '.join(['*' + p] * 10)}]" for p, n in pairwise("abcdefgh"))
            + "}\n",
            ["not valid YAML", "100000 values"],
        ),
    ],
)
def test_yaml_is_read_strictly(workplace, text, expected):
    file = workplace.own / "broken.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_recipe(file)
    for part in expected:
        assert part in str(caught.value)


def test_a_recipe_file_that_is_not_utf8_is_refused(workplace):
    file = workplace.own / "utf16.yaml"
    file.write_bytes("task: classification".encode("utf-16"))
    with pytest.raises(InputError, match="save it as UTF-8"):
        load_recipe(file)


def test_a_long_wrong_value_is_shown_in_short(workplace):
    message = refused(workplace, changed(workplace.recipe, "seed", list(range(1_000))))
    assert message.startswith("seed must be a whole number, not [0, 1")
    assert len(message) < 200
