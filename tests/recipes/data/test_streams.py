"""Streams through the command line: killed, resumed and asked for wrongly."""

import json

import pytest
from recipes.test_language_runs import COUNTING, recipe_of, texts, write_lines
from recipes.workplace import Killed, kill_at
from safetensors.torch import load_file
from tasks.language import make_decoder, make_word_tokenizer

from attndistill.cli import main


@pytest.fixture
def recipe(workplace):
    tokenizer = make_word_tokenizer(COUNTING)
    make_decoder("gpt2", len(tokenizer), layers=3).save_pretrained(workplace.own / "teacher")
    tokenizer.save_pretrained(workplace.own / "teacher")
    data = {
        "train": [
            write_lines(workplace.own / f"part-{part}.txt", texts(part, 60)) for part in range(2)
        ],
        "validation": write_lines(workplace.own / "validation.txt", texts(3, 12)),
        "test": write_lines(workplace.own / "test.txt", texts(4, 12)),
        "max_length": 8,
        "streaming": True,
    }
    recipe = recipe_of(workplace, "causal-lm", str(workplace.own / "teacher"), data)
    recipe["objective"] = {"task": {}, "attention": {}}
    # 120 rows: the stream is gone through more than once.
    recipe["training"] |= {"max_steps": 24, "eval_steps": 6, "eval_strategy": "steps"}
    return recipe


def weights(workplace, folder):
    return load_file(workplace.own / folder / "student" / "model.safetensors")


@pytest.mark.parametrize("packing", [False, True])
def test_a_run_killed_in_a_stream_resumes_to_the_same_weights(workplace, recipe, packing):
    recipe["data"]["packing"] = packing
    file = str(workplace.write(recipe))
    whole, killed = (str(workplace.own / name) for name in ("whole", "killed"))
    assert main(["run", file, "--output-dir", whole]) == 0
    with kill_at(14, Killed()):
        assert main(["run", file, "--output-dir", killed]) == 1
    assert main(["run", file, "--output-dir", killed, "--resume"]) == 0
    report = json.loads((workplace.own / "killed" / "report.json").read_text(encoding="utf-8"))
    assert report["training"]["steps"] == 24
    assert report["data"]["splits"]["train"] == {
        "rows": None,
        "origin": report["data"]["splits"]["train"]["origin"],
        "truncation": None,
    }
    expected, resumed = weights(workplace, "whole"), weights(workplace, "killed")
    assert expected.keys() == resumed.keys()
    differences = {n: float((expected[n] - resumed[n]).abs().max()) for n in expected}
    assert max(differences.values()) == 0.0, differences


@pytest.mark.parametrize(
    ("dotted", "value", "message"),
    [
        ("training.max_steps", None, "training.max_steps is needed with data.streaming"),
        ("training.max_steps", -1, "training.max_steps is needed with data.streaming"),
        ("training.train_sampling_strategy", "group_by_length", "a stream keeps its own order"),
        ("data.validation", None, "too few rows to set 500 aside for a validation split"),
        ("teacher.train", {"max_steps": 1}, "fine-tune the teacher beforehand"),
        ("data.columns", {"text": "txt"}, "no column 'txt'"),
    ],
)
def test_what_a_stream_cannot_do_is_one_message(workplace, recipe, capsys, dotted, value, message):
    section, key = dotted.split(".")
    recipe[section] = {**recipe[section], key: value}
    if value is None:
        del recipe[section][key]
    assert main(["doctor", str(workplace.write(recipe))]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err
    assert not (workplace.own / "run").exists()


def test_a_wrong_row_far_in_a_stream_stops_the_run(workplace, recipe, capsys):
    rows = [{"text": text} for text in texts(0, 40)]
    rows[30]["text"] = " "
    recipe["data"]["train"] = write_lines(workplace.own / "train.jsonl", rows)
    assert main(["run", str(workplace.write(recipe))]) == 2
    assert (
        "in the batch that is read): column 'text' is empty in data row" in capsys.readouterr().err
    )
