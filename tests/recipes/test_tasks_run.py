"""Every kind of text classification, run from files through the command line."""

import json

import numpy as np
import pytest
import torch
from datasets import Dataset
from recipes.workplace import NEGATIVE, NEUTRAL, POSITIVE, make_config, make_tokenizer, sentences
from transformers import (
    AutoModelForTokenClassification,
    BertForSequenceClassification,
    BertForTokenClassification,
    pipeline,
)

from attndistill.cli import main

TAGS = ["O", "B-GOOD", "I-GOOD", "B-BAD"]


def write_rows(file, rows):
    Dataset.from_list(list(rows)).to_parquet(file)
    return str(file)


def write_model(kind, folder, **changes):
    torch.manual_seed(0)
    tokenizer = make_tokenizer([*POSITIVE, *NEGATIVE, *NEUTRAL])
    kind(make_config(tokenizer, **changes)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def run(workplace, recipe):
    assert main(["run", str(workplace.write(recipe))]) == 0
    return json.loads((workplace.own / "run" / "report.json").read_text(encoding="utf-8"))


@pytest.fixture
def recipe_of(workplace):
    def make(task, model, rows, **data):
        recipe = workplace.recipe
        recipe |= {"task": task, "teacher": {"model": model}}
        recipe["training"] |= {"load_best_model_at_end": True}
        splits = {
            split: write_rows(workplace.own / f"{split}.parquet", rows(seed, count))
            for split, seed, count in (("train", 1, 64), ("validation", 2, 16), ("test", 3, 24))
        }
        recipe["data"] = {**splits, "max_length": 16, **data}
        return recipe

    return make


def test_sets_of_labels(workplace, recipe_of):
    def rows(seed, count):
        for row in sentences(count, seed):
            words = row["review"].split()
            found = {"good": POSITIVE, "bad": NEGATIVE, "film": ["film"]}
            yield {"text": row["review"], "label": [n for n in found if {*words} & {*found[n]}]}

    names = {0: "film", 1: "good", 2: "bad"}
    model = write_model(BertForSequenceClassification, workplace.own / "model", id2label=names)
    kind = "multi_label_classification"
    report = run(workplace, recipe_of("classification", model, rows, problem_type=kind))
    quality = report["student"]["quality"]
    assert quality["deciding"] == "micro-F1"
    assert report["data"]["labels"] == ["film", "good", "bad"]
    assert report["training"]["first_step"]["logits"]["gradient_norm"] > 0
    assert report["recipe"]["training"]["metric_for_best_model"] == "micro_f1"
    classify = pipeline("text-classification", model=str(workplace.own / "run" / "student"))
    scores = {each["label"]: each["score"] for each in classify("the film was dull", top_k=None)}
    # Each label on its own: the scores are no distribution.
    assert sum(scores.values()) != pytest.approx(1.0, abs=1e-3)


def test_numbers(workplace, recipe_of):
    def rows(seed, count):
        for row in sentences(count, seed):
            yield {"text": row["review"], "label": float(row["label"] == "positive") + 0.5}

    model = write_model(BertForSequenceClassification, workplace.own / "model", num_labels=1)
    recipe = recipe_of("classification", model, rows, problem_type="regression")
    report = run(workplace, recipe)
    assert report["student"]["quality"]["deciding"] == "RMSE"
    assert report["student"]["quality"]["baseline"]["value"] == pytest.approx(0.5)
    assert report["recipe"]["training"]["greater_is_better"] is False
    history = [row for row in report["training"]["history"] if "eval_rmse" in row]
    assert history
    assert report["data"]["labels"] == []


def test_rows_without_labels_go_by_the_teacher(workplace, capsys):
    recipe = workplace.recipe
    recipe["data"]["columns"]["label"] = None
    assert main(["run", str(workplace.write(recipe))]) == 2
    assert "objective.task needs labels" in capsys.readouterr().err
    recipe["objective"] = {"logits": {}, "attention": {}}
    report = run(workplace, recipe)
    assert report["student"]["quality"]["deciding"] == "agreement with the teacher"
    assert report["teacher"]["quality"]["metrics"]["agreement with the teacher"]["value"] == 1.0
    assert set(report["training"]["first_step"]) == {"logits", "attention"}


def test_long_texts_are_read_window_by_window(workplace, recipe_of):
    def rows(seed, count):
        generator = np.random.default_rng(seed)
        for number, row in enumerate(sentences(count, seed)):
            padding = list(generator.choice(NEUTRAL, 30 * (number % 2)))
            yield {"text": " ".join([*padding, row["review"]]), "label": row["label"]}

    model = str(workplace.shared / "classifier")
    report = run(workplace, recipe_of("classification", model, rows, stride=4))
    assert report["student"]["quality"]["rows"] == 24
    assert report["data"]["splits"]["test"]["rows"] == 24
    assert report["data"]["splits"]["test"]["truncation"] == 0.0
    assert report["recipe"]["data"]["stride"] == 4


def test_words(workplace, recipe_of):
    def rows(seed, count):
        for row in sentences(count, seed):
            words = row["review"].split()
            tags = ["B-GOOD" if w in POSITIVE else "B-BAD" if w in NEGATIVE else "O" for w in words]
            yield {"words": words, "tags": tags}

    names = dict(enumerate(TAGS))
    model = write_model(BertForTokenClassification, workplace.own / "model", id2label=names)
    columns = {"tokens": "words", "labels": "tags"}
    recipe = recipe_of("token-classification", model, rows, columns=columns)
    recipe["objective"] = {"task": {}, "attention": {}}
    recipe["training"] |= {"num_train_epochs": 8, "learning_rate": 1e-2}
    report = run(workplace, recipe)
    quality = report["student"]["quality"]
    assert quality["deciding"] == "entity F1"
    assert quality["metrics"]["entity F1"]["value"] > 0.5
    assert any("eval_f1" in row for row in report["training"]["history"])
    folder = workplace.own / "run" / "student"
    student = AutoModelForTokenClassification.from_pretrained(folder)
    assert list(student.config.id2label.values()) == TAGS
    tag = pipeline("token-classification", model=str(folder), aggregation_strategy="first")
    (entity,) = tag("the film was very good")
    assert (entity["entity_group"], entity["word"]) == ("GOOD", "good")
