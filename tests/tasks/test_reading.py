"""What tasks refuse in rows, settings and models."""

from dataclasses import replace

import pytest
from datasets import ClassLabel, Dataset, Features, List, Value
from recipes.workplace import make_tokenizer
from transformers import BertConfig

from attndistill.errors import InputError
from attndistill.tasks import (
    LabelMap,
    TextClassification,
    TextColumns,
    TokenClassification,
    task_class,
)

LABEL_SETS = TextClassification(problem_type="multi_label_classification")
NUMBERS = TextClassification(problem_type="regression")
WORDS = TokenClassification()
TAGS = LabelMap(names=("O", "B"), numbers={"O": 0, "B": 1})


def refused(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    return str(caught.value)


def read(task, rows):
    dataset = rows if isinstance(rows, Dataset) else Dataset.from_list(rows)
    return task.read({"train": dataset})["train"]


@pytest.mark.parametrize(
    ("task", "row", "expected"),
    [
        (LABEL_SETS, {"text": "a", "label": "x"}, ["a list of labels", "row 1", "'x'"]),
        (LABEL_SETS, {"text": "a", "label": [0.5]}, ["a list of labels", "row 1"]),
        (NUMBERS, {"text": "a", "label": "high"}, ["a finite number", "row 1", "'high'"]),
        (NUMBERS, {"text": "a", "label": float("inf")}, ["a finite number", "inf"]),
        (NUMBERS, {"text": "a", "label": ""}, ["no label", "row 1"]),
        (WORDS, {"tokens": "a b", "labels": ["O"]}, ["a list of words", "row 1"]),
        (WORDS, {"tokens": ["a"], "labels": "O"}, ["a list of labels", "CSV files have no lists"]),
        (WORDS, {"tokens": [], "labels": []}, ["row 1 has no words"]),
        (WORDS, {"tokens": ["a", "b"], "labels": ["O"]}, ["2 words but 1 labels"]),
        (WORDS, {"token": ["a"], "labels": ["O"]}, ["no column 'tokens'", "'token'"]),
    ],
)
def test_wrong_rows_are_named(task, row, expected):
    message = refused(read, task, [row])
    for part in expected:
        assert part in message


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"max_length": 1}, "at least 2 tokens"),
        (
            {"problem_type": "regresion"},
            "; choose single_label_classification, ",
        ),
        ({"stride": 126}, "stride must be from 0 to below"),
        ({"stride": -1}, "stride must be"),
        ({"stride": 4, "columns": TextColumns(text_pair="b")}, "leave text_pair out"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, expected):
    assert expected in refused(TextClassification, **settings)


def test_an_unknown_task_is_named_with_the_closest():
    message = refused(task_class, "token-clasification")
    assert "did you mean 'token-classification'" in message
    assert "choose classification" in refused(task_class, ["a"])


def test_numbered_tags_bring_their_names():
    features = Features(
        {"tokens": List(Value("string")), "labels": List(ClassLabel(names=["O", "B"]))}
    )
    rows = Dataset.from_dict({"tokens": [["a", "b"]], "labels": [[0, 1]]}, features=features)
    table = read(WORDS, rows)
    assert table.label_names == ("O", "B")
    labels = WORDS.labels(table, BertConfig(id2label={0: "B", 1: "O"}), trained=False)
    assert labels.encode(table) == [[1, 0]]


def test_a_words_label_stands_at_its_first_token_and_cut_rows_are_counted():
    tokenizer = make_tokenizer(["good", "film"])
    table = read(
        WORDS,
        [
            {"tokens": ["good", "film", "!?"], "labels": ["B", "O", "O"]},
            {"tokens": ["good"] * 9, "labels": ["B"] * 9},
        ],
    )
    split = replace(WORDS, max_length=6).encode(table, TAGS, tokenizer, training=True)
    assert split.rows["labels"][0] == [-100, 1, 0, 0, -100]
    assert split.rows["labels"][1] == [-100, 1, 1, 1, 1, -100]
    assert split.truncated == 0.5
    message = refused(
        WORDS.encode, read(WORDS, [{"tokens": ["a"], "labels": ["X"]}]), TAGS, None, training=True
    )
    assert "row 1: the label 'X' is unknown" in message


def test_a_long_text_becomes_windows_that_share_tokens():
    tokenizer = make_tokenizer("abcdefgh")
    task = TextClassification(columns=TextColumns(label=None), max_length=6, stride=1)
    split = task.encode(
        read(task, [{"text": "a b c d e f g h"}, {"text": "a"}]), None, tokenizer, training=True
    )
    tokens = [tokenizer.convert_ids_to_tokens(ids)[1:-1] for ids in split.rows["input_ids"]]
    words = [" ".join(window) for window in tokens]
    assert words == ["a b c d", "d e f g", "g h", "a"]
    assert split.documents.tolist() == [0, 0, 0, 1]
    assert "labels" not in split.rows.column_names


def test_a_model_made_for_another_problem_is_refused():
    config = BertConfig(problem_type="regression")
    message = refused(TextClassification().configure, config, TAGS, "teacher.model")
    assert "teacher.model is made for regression" in message
    NUMBERS.configure(config, None, "teacher.model")
    assert config.num_labels == 1


@pytest.mark.parametrize("format_name", ["torch", "numpy", "arrow"])
def test_a_data_sets_own_format_changes_nothing(format_name):
    rows = [{"text": "a b", "label": 0}, {"text": "c", "label": 1}, {"text": "d", "label": 0}]
    plain = Dataset.from_list(rows)
    task, tokenizer, config = TextClassification(), make_tokenizer(["a", "b"]), BertConfig()
    found = []
    for dataset in (plain, plain.with_format(format_name)):
        table = read(task, dataset)
        labels = task.labels(table, config, trained=True)
        split = task.encode(table, labels, tokenizer, training=True)
        found.append((labels, split.rows.to_dict()))
    assert found[0] == found[1]
