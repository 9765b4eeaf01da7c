"""A user's whole path through the command line, on files, with a model that really trains."""

import json
import os
import subprocess
import sys

import pytest
import yaml
from transformers import AutoModelForSequenceClassification, FNetConfig, pipeline
from transformers import FNetForSequenceClassification as Unsupported

from attndistill.cli import main


def test_run_leaves_a_complete_student_and_a_report(workplace, capsys):
    recipe = workplace.write(workplace.recipe)
    assert main(["doctor", str(recipe)]) == 0
    assert main(["run", str(recipe)]) == 0
    printed = capsys.readouterr().out
    assert "accuracy" in printed
    folder = workplace.own / "run"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["layer_map"] == {"encoder self-attention": [[0, 1], [1, 3]]}
    assert report["student"]["quality"]["rows"] == 32
    assert set(report["training"]["first_step"]) == {"task", "logits", "attention"}
    assert all(r["gradient_norm"] > 0 for r in report["training"]["first_step"].values())
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    student = AutoModelForSequenceClassification.from_pretrained(folder / "student")
    assert student.config.num_hidden_layers == 2
    classify = pipeline("text-classification", model=str(folder / "student"))
    assert classify("the film was lovely")[0]["label"] in ("negative", "positive")
    resolved = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    assert resolved["student"]["keep_layers"] == [1, 3]
    assert main(["report", str(folder)]) == 0


def test_the_student_reaches_the_reported_accuracy_without_this_package(workplace):
    recipe = workplace.recipe
    recipe["training"] |= {"num_train_epochs": 6, "learning_rate": 5e-3}
    recipe["objective"] = {"task": {}, "logits": {"weight": 0.01}}
    assert main(["run", str(workplace.write(recipe))]) == 0
    folder = workplace.own / "run"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    code = f"""
import csv, sys
sys.modules["attndistill"] = None
from transformers import pipeline
classify = pipeline("text-classification", model={str(folder / "student")!r})
rows = list(csv.DictReader(open({str(workplace.shared / "test.csv")!r})))
answers = classify([row["review"] for row in rows], truncation=True, max_length=16)
print(sum(a["label"] == row["label"] for a, row in zip(answers, rows)) / len(rows))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    stated = report["student"]["quality"]["metrics"]["accuracy"]["value"]
    assert float(done.stdout.split()[-1]) == pytest.approx(stated)
    assert stated > 0.6


def bad(recipe, workplace, path, value):
    """The recipe with one value changed; a path's last key may be new."""
    *parents, last = path.split(".")
    place = recipe
    for name in parents:
        place = place[name]
    place[last] = value
    return recipe


def csv_file(workplace, text):
    file = workplace.own / "bad.csv"
    file.write_text(text, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("teacher.model", "no/such/folder", "no/such/folder"),
        ("data.train", "missing.csv", "missing.csv"),
        ("objective.attention", {"wieght": 1}, "objective.attention.wieght"),
        ("objective.attention", {"wieght": 1}, "weight"),
        ("data.columns", {"text": "reviw"}, "review"),
        ("objective.attention", {"layers": [[0, 9]]}, "0 to 3, not 9"),
        ("objective.attention", {"kind": "kll"}, "kl"),
        ("student", {"keep_layers": [0, 7]}, "0 to 3"),
        ("task", "clasification", "classification"),
        ("training.learning_rat", 1e-3, "learning_rate"),
    ],
)
def test_a_wrong_recipe_gives_one_message(workplace, capsys, path, value, message):
    file = workplace.write(bad(workplace.recipe, workplace, path, value))
    assert main(["run", str(file)]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert not (workplace.own / "run" / "student").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("review,label\n", "empty"),
        ("review,label\ngood film,positive\n,negative\n", "empty"),
        ("review,label\ngood film,superb\nbad film,negative\n", "superb"),
    ],
)
def test_wrong_data_gives_one_message(workplace, capsys, rows, message):
    recipe = bad(workplace.recipe, workplace, "data.train", csv_file(workplace, rows))
    assert main(["run", str(workplace.write(recipe))]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_an_unsupported_architecture_is_refused_before_training(workplace, capsys, shared):
    config = FNetConfig(
        vocab_size=32,
        hidden_size=24,
        num_hidden_layers=2,
        intermediate_size=30,
        id2label={0: "negative", 1: "positive"},
    )
    folder = workplace.own / "fnet"
    Unsupported(config).save_pretrained(folder)
    for file in (shared / "classifier").glob("token*"):
        (folder / file.name).write_bytes(file.read_bytes())
    recipe = bad(workplace.recipe, workplace, "teacher.model", str(folder))
    assert main(["run", str(workplace.write(recipe))]) == 2
    assert "AttentionInterface" in capsys.readouterr().err


def test_an_output_folder_that_cannot_be_written_is_refused(workplace, capsys):
    blocker = workplace.own / "file"
    blocker.write_text("in the way")
    recipe = bad(workplace.recipe, workplace, "output_dir", str(blocker / "run"))
    assert main(["run", str(workplace.write(recipe))]) == 2
    assert str(blocker) in capsys.readouterr().err


def test_a_students_other_vocabulary_is_refused(workplace, capsys, shared):
    folder = workplace.own / "other"
    folder.mkdir()
    for file in (shared / "classifier").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    tokenizer = folder / "tokenizer.json"
    text = tokenizer.read_text(encoding="utf-8").replace('"film"', '"movie"')
    tokenizer.write_text(text, encoding="utf-8")
    recipe = bad(workplace.recipe, workplace, "student", {"model": str(folder)})
    assert main(["run", str(workplace.write(recipe))]) == 2
    assert "film" in capsys.readouterr().err
