"""Students trained by adapters, through the command line."""

import json

import pytest
import torch
from recipes.test_language_runs import recipe_of, texts, write_lines
from safetensors.torch import load_file
from tasks.language import make_decoder, make_word_tokenizer
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

from attndistill.cli import main
from attndistill.recipes.config.recipe import load_recipe


def changed(before, after):
    """The names of the weights that training changed."""
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_a_classifiers_adapters_and_head_are_trained_and_merged(workplace, capsys):
    recipe = workplace.recipe
    recipe["student"] = {"model": str(workplace.shared / "classifier"), "lora": {"r": 2}}
    recipe["training"] |= {"learning_rate": 1e-2, "load_best_model_at_end": True}
    file = workplace.write(recipe)
    assert main(["doctor", str(file)]) == 0
    assert "adapters (r 2, lora_alpha 16" in capsys.readouterr().out
    assert main(["run", str(file)]) == 0
    folder = workplace.own / "run" / "student"
    assert not list(folder.glob("adapter*"))
    before = load_file(workplace.shared / "classifier" / "model.safetensors")
    trained = changed(before, load_file(folder / "model.safetensors"))
    heads = {"classifier.weight", "classifier.bias"}
    assert heads < trained
    assert all("query.weight" in name or "value.weight" in name for name in trained - heads)
    assert len(trained - heads) == 2 * 4
    student = AutoModelForSequenceClassification.from_pretrained(folder)
    assert student.config.id2label == {0: "negative", 1: "positive"}
    report = json.loads((workplace.own / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["recipe"]["student"]["lora"]["r"] == 2
    classes, width = before["classifier.weight"].shape
    adapters = 8 * 2 * (width + width)
    assert report["training"]["trained_parameters"] == adapters + classes * width + classes
    assert load_recipe(workplace.own / "run" / "recipe.yaml").student.lora.r == 2


def test_a_decoders_adapters_are_trained_everywhere_but_in_its_embeddings(workplace):
    tokenizer = make_word_tokenizer("abcd", pad_token="<unk>")
    make_decoder("llama", len(tokenizer), layers=3).save_pretrained(workplace.own / "llama")
    tokenizer.save_pretrained(workplace.own / "llama")
    data = {"train": write_lines(workplace.own / "train.txt", texts(0, 60)), "max_length": 12}
    recipe = recipe_of(workplace, "causal-lm", str(workplace.own / "llama"), data)
    recipe["student"]["lora"] = {"r": 2, "target_modules": "all-linear"}
    recipe["objective"] = {"task": {}, "attention": {}}
    recipe["training"] |= {"max_steps": 4, "learning_rate": 1e-2}
    assert main(["run", str(workplace.write(recipe))]) == 0
    folder = workplace.own / "run" / "student"
    teacher = load_file(workplace.own / "llama" / "model.safetensors")
    kept = {
        name.replace("layers.2.", "layers.1."): tensor
        for name, tensor in teacher.items()
        if "layers.1." not in name
    }
    trained = changed(kept, load_file(folder / "model.safetensors"))
    assert trained == {name for name in kept if "_proj.weight" in name}
    assert AutoModelForCausalLM.from_pretrained(folder).config.num_hidden_layers == 2


@pytest.mark.parametrize(
    ("lora", "message"),
    [
        ({"r": 0}, "student.lora: r and lora_alpha must be above 0"),
        ({"lora_dropout": 1.0}, "lora_dropout must be at least 0 and below 1"),
        ({"target_modules": []}, "target_modules is an empty list"),
        ({"target_modules": ["no_such_layer"]}, "no_such_layer"),
        ({"rank": 4}, "unknown key student.lora.rank"),
    ],
)
def test_wrong_adapters_give_one_message(workplace, capsys, lora, message):
    recipe = workplace.recipe
    recipe["student"]["lora"] = lora
    assert main(["doctor", str(workplace.write(recipe))]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err


def test_fresh_weights_are_not_adapted(workplace, capsys):
    recipe = workplace.recipe
    recipe["student"] = {"config": {"num_hidden_layers": 2}, "lora": {}}
    assert main(["doctor", str(workplace.write(recipe))]) == 2
    assert "remove lora" in capsys.readouterr().err
