"""From files to a student in plain use: recipe, doctor, run, and a process without this package.

What that process measures by plain Transformers is what the report says.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from recipes.test_image_runs import write_pictures, write_vision_model
from recipes.test_language_runs import COUNTING, recipe_of, summary_data, texts, write_lines
from tasks.language import make_decoder, make_seq2seq, make_word_tokenizer

from attndistill.cli import main

SCRIPT = Path(__file__).with_name("plain_use.py")
AFTER = " =>"  # as in that script


def save(model, tokenizer, folder):
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def walked(workplace, recipe):
    """The report of a run that the doctor found ready."""
    file = workplace.write(recipe)
    assert main(["doctor", str(file)]) == 0
    assert main(["run", str(file)]) == 0
    return json.loads((workplace.own / "run" / "report.json").read_text(encoding="utf-8"))


def used(workplace, kind, test):
    """What plain Transformers measures of the student."""
    student = str(workplace.own / "run" / "student")
    done = subprocess.run(
        [sys.executable, SCRIPT, kind, student, test],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def stated(report, metric):
    quality = report["student"]["quality"]
    assert quality["deciding"] == metric
    return quality["metrics"][metric]["value"]


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_a_decoder(workplace, family):
    tokenizer = make_word_tokenizer(COUNTING)
    model = save(
        make_decoder(family, len(tokenizer), layers=3), tokenizer, workplace.own / "teacher"
    )

    def rows(seed, count):
        for words in map(str.split, texts(seed, count)):
            yield {"given": " ".join(words[:2]), "wanted": " ".join(words[2:])}

    data = {
        split: write_lines(workplace.own / f"{split}.jsonl", rows(seed, count))
        for split, seed, count in (("train", 0, 160), ("validation", 1, 12), ("test", 2, 20))
    }
    data |= {"columns": {"prompt": "given", "completion": "wanted"}, "max_length": 16}
    recipe = recipe_of(workplace, "causal-lm", model, data, num_train_epochs=5, learning_rate=1e-2)
    recipe["objective"] = {"task": {}, "attention": {"weight": 0.1}}
    report = walked(workplace, recipe)
    found = used(workplace, "decoder", data["test"])
    assert found["perplexity"] == pytest.approx(stated(report, "perplexity"), rel=1e-4)
    assert found["perplexity"] < 3.0
    assert found["text"].startswith("abcd")


@pytest.mark.parametrize("family", ["bart", "t5", "bert2bert"])
def test_an_encoder_decoder(workplace, family):
    tokenizer = make_word_tokenizer(COUNTING, pad_token="<unk>")
    teacher = make_seq2seq(family, len(tokenizer), layers=2)
    teacher.generation_config.num_beams = 2
    teacher.generation_config.max_new_tokens = 4
    model = save(teacher, tokenizer, workplace.own / "teacher")
    data = summary_data(workplace, count=120)
    recipe = recipe_of(
        workplace, "summarization", model, data, num_train_epochs=4, learning_rate=5e-3
    )
    recipe["student"] = {"keep_layers": {"encoder": [1], "decoder": [0]}}
    recipe["objective"] = {
        "task": {},
        "encoder_attention": {"weight": 0.01},
        "decoder_attention": {"weight": 0.01},
        "cross_attention": {"weight": 0.01},
    }
    report = walked(workplace, recipe)
    found = used(workplace, "encoder_decoder", data["test"])
    assert found["ROUGE-L"] == pytest.approx(stated(report, "ROUGE-L"))
    assert found["num_beams"] == 2
    assert found["ROUGE-L"] > 0.3
    assert set(report["layer_map"]) == {
        "encoder self-attention",
        "decoder self-attention",
        "decoder cross-attention",
    }


def test_a_decoder_that_summarizes(workplace):
    tokenizer = make_word_tokenizer([*COUNTING, AFTER.strip()], pad_token="<unk>")
    teacher = make_decoder("llama", len(tokenizer), layers=3)
    teacher.generation_config.num_beams = 2
    model = save(teacher, tokenizer, workplace.own / "teacher")
    data = summary_data(workplace) | {"template": "{text}" + AFTER}
    recipe = recipe_of(
        workplace, "summarization", model, data, num_train_epochs=6, learning_rate=1e-2
    )
    recipe["objective"] = {"task": {}, "logits": {"weight": 0.01}, "attention": {"weight": 0.01}}
    report = walked(workplace, recipe)
    found = used(workplace, "decoder_summaries", data["test"])
    assert found["ROUGE-L"] == pytest.approx(stated(report, "ROUGE-L"))
    assert found["ROUGE-L"] > 0.8
    assert found["num_beams"] == 2
    assert list(report["student"]["quality"]["metrics"])[:3] == ["ROUGE-L", "ROUGE-1", "ROUGE-2"]


def test_a_vision_model(workplace, tmp_path):
    write_vision_model(tmp_path / "teacher")
    data = {
        "train": write_pictures(tmp_path / "train", 48, 0),
        "test": write_pictures(tmp_path / "test", 20, 1),
    }
    recipe = recipe_of(
        workplace,
        "image-classification",
        str(tmp_path / "teacher"),
        data,
        num_train_epochs=3,
        learning_rate=3e-3,
    )
    recipe["teacher"]["train"] = {"num_train_epochs": 3}
    report = walked(workplace, recipe)
    found = used(workplace, "images", data["test"])
    assert found["accuracy"] == pytest.approx(stated(report, "accuracy"))
    assert found["accuracy"] > 0.7
