"""What the README shows runs as it stands there, on a tiny teacher and files of those names."""

import re
from pathlib import Path

import pytest
import torch
from recipes.workplace import NEGATIVE, NEUTRAL, POSITIVE, make_config, make_tokenizer, write_csv
from recipes.workplace import sentences as workplace_sentences
from transformers import AutoModelForSequenceClassification, BertForSequenceClassification, pipeline

from attndistill.cli import main

README = Path(__file__).parents[1].joinpath("README.md").read_text(encoding="utf-8")


def block(language):
    """The README's first code block in this language."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)[0]


def sentences(count, seed, text, label):
    for row in workplace_sentences(count, seed):
        yield {text: row["review"], label: int(row["label"] == "positive")}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the teacher that the README names, 6 layers deep, and the working directory."""
    tokenizer = make_tokenizer([*POSITIVE, *NEGATIVE, *NEUTRAL])
    teacher = BertForSequenceClassification(
        make_config(tokenizer, num_hidden_layers=6, max_position_embeddings=128)
    )
    folder = tmp_path / "path/to/fine-tuned-bert"
    teacher.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_python_example_runs(place):
    code = block("python")
    assert len(code.splitlines()) <= 15
    for name, count in (("train.csv", 40), ("dev.csv", 16)):
        write_csv(place / name, sentences(count, 1, "text", "label"))
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    logged = [entry for entry in names["trainer"].state.log_history if "train_loss" in entry]
    assert logged[0]["train_loss"] > 0
    saved = AutoModelForSequenceClassification.from_pretrained(place / "student")
    trained = names["student"].state_dict()
    assert all(torch.equal(tensor, trained[name]) for name, tensor in saved.state_dict().items())
    assert pipeline("text-classification", model=str(place / "student"))("the plot was dull")


def test_the_recipe_runs(place, capsys):
    for name, count in (("train.csv", 60), ("test.csv", 20)):
        write_csv(place / name, sentences(count, 2, "review", "stars"))
    (place / "recipe.yaml").write_text(block("yaml"), encoding="utf-8")
    assert main(["run", "recipe.yaml"]) == 0
    assert "attention (" in capsys.readouterr().out
    (report,) = place.rglob("report.html")
    assert (report.parent / "student" / "model.safetensors").is_file()
