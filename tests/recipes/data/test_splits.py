import json
from dataclasses import replace

import pyarrow.parquet
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from recipes.workplace import sentences, write_csv

from attndistill.errors import InputError
from attndistill.recipes.config.dataset import DataConfig
from attndistill.recipes.data.sources import read_splits
from attndistill.recipes.data.splits import encode, load_examples
from attndistill.recipes.data.streams import read_stream
from attndistill.recipes.models.loading import load_processor
from attndistill.tasks import TextClassification, TextColumns
from attndistill.tasks.labels import check_student_labels, labels_of_data, labels_of_teacher

TASK = TextClassification(columns=TextColumns(text="review"))
TEACHER = ("negative", "positive")


def config(train, **changes):
    return DataConfig(**{"train": str(train)} | changes)


def read_tables(data):
    return TASK.read(read_splits(data))


def refused(call, *args):
    with pytest.raises(InputError) as caught:
        call(*args)
    return str(caught.value)


def write_json_lines(file, rows):
    file.write_text("\n".join(json.dumps(row) for row in rows) + "\n", encoding="utf-8")
    return file


def table(tmp_path, rows, name="data.jsonl"):
    return read_tables(config(write_json_lines(tmp_path / name, rows)))["train"]


def named_table(tmp_path, names, labels):
    features = Features({"review": Value("string"), "label": ClassLabel(names=list(names))})
    rows = {"review": ["good film"] * len(labels), "label": labels}
    dataset = Dataset.from_dict(rows, features=features)
    dataset.to_parquet(tmp_path / "named.parquet")
    return read_tables(config(tmp_path / "named.parquet"))["train"]


def test_every_format_gives_the_same_rows(tmp_path):
    rows = list(sentences(6, seed=0))
    dataset = Dataset.from_list(rows)
    files = {
        "csv": write_csv(tmp_path / "a.csv", rows),
        "jsonl": write_json_lines(tmp_path / "a.jsonl", rows),
        "json": tmp_path / "a.json",
        "parquet": tmp_path / "a.parquet",
        "folder": tmp_path / "saved",
    }
    files["json"].write_text(json.dumps(rows))
    pyarrow.parquet.write_table(dataset.data.table, files["parquet"])
    dataset.save_to_disk(files["folder"])
    for file in files.values():
        read = read_tables(config(file))["train"]
        assert read.column("text") == [row["review"] for row in rows]
        assert read.column("label") == [row["label"] for row in rows]
    two = [str(files["csv"]), str(files["jsonl"])]
    both = read_tables(DataConfig(train=two))
    assert len(both["train"]) == 12


def test_a_file_gives_the_same_rows_as_a_stream(tmp_path):
    rows = list(sentences(6, seed=0))
    files = [
        write_csv(tmp_path / "a.csv", rows),
        write_json_lines(tmp_path / "a.jsonl", rows),
        write_json_lines(tmp_path / "array.jsonl", [rows]),
        write_json_lines(tmp_path / "lines.json", rows),
        tmp_path / "a.parquet",
        tmp_path / "a.txt",
    ]
    Dataset.from_list(rows).to_parquet(files[4])
    files[5].write_text("one\n\ntwo\n")
    for file in files:
        given = config(file, streaming=True)
        assert list(read_stream(given)) == read_splits(given)["train"].to_list(), file
    (tmp_path / "utf16.txt").write_bytes("a film\n".encode("utf-16"))
    wrong = read_stream(config(tmp_path / "utf16.txt", streaming=True))
    assert "save it as UTF-8" in refused(list, wrong)


def test_a_saved_data_set_brings_its_own_splits(tmp_path):
    splits = {name: Dataset.from_list(list(sentences(4, seed=0))) for name in ("train", "test")}
    DatasetDict(splits).save_to_disk(tmp_path / "saved")
    assert sorted(read_tables(config(tmp_path / "saved"))) == ["test", "train"]
    message = refused(read_tables, config(tmp_path / "saved", validation=str(tmp_path / "saved")))
    assert "no split 'validation'" in message


def test_a_data_set_with_several_configurations_takes_a_name(tmp_path):
    folder = tmp_path / "films"
    for name, count in (("short", 2), ("long", 6)):
        (folder / name).mkdir(parents=True)
        write_csv(folder / name / "train.csv", sentences(count, seed=0))
        write_csv(folder / name / "test.csv", sentences(count, seed=1))
    (folder / "README.md").write_text(
        "---\nconfigs:\n"
        "- {config_name: short, data_dir: short}\n- {config_name: long, data_dir: long}\n---\n"
    )
    read = read_tables(config(folder, name="long"))
    assert {split: len(table) for split, table in read.items()} == {"train": 6, "test": 6}
    message = refused(read_tables, config(folder))
    assert "data.name picks" in message
    assert "'short'" in message
    assert "'medium'" in refused(read_tables, config(folder, name="medium"))


def test_odd_forms_of_files_are_read(tmp_path):
    rows = list(sentences(4, seed=0))
    comma = write_csv(tmp_path / "comma.csv", rows).read_text()
    for name, content in {
        "semicolon.csv": comma.replace(",", ";").encode(),
        "tab.csv": comma.replace(",", "\t").encode(),
        "mark.csv": b"\xef\xbb\xbf" + comma.encode(),
        "mac.csv": comma.replace("\r\n", "\r").encode(),
    }.items():
        (tmp_path / name).write_bytes(content)
        read = read_tables(config(tmp_path / name))["train"]
        assert read.column("text") == [row["review"] for row in rows], name
    lines = tmp_path / "separator.jsonl"
    lines.write_text('{"label": 1}\n{"review": "a\u2028b", "label": 0}\n', encoding="utf-8")
    assert "data row 1" in refused(read_tables, config(lines))
    lines.write_text('{"review": "a\u2028b", "label": 0}\n', encoding="utf-8")
    assert read_tables(config(lines))["train"].column("text") == ["a\u2028b"]


def test_labels_are_numbers_only_where_all_of_them_are(tmp_path):
    def labels(train, test):
        files = {
            split: str(write_csv(tmp_path / f"{split}.csv", [{"review": "a", "label": label}]))
            for split, label in (("train", train), ("test", test))
        }
        return [table.column("label") for table in read_tables(config(**files)).values()]

    assert labels("1", "2.0") == [[1], [2]]
    assert labels("1", "n/a") == [["1"], ["n/a"]]
    assert labels("1_0", "1e3") == [["1_0"], ["1e3"]]
    ints = write_json_lines(tmp_path / "ints.jsonl", [{"review": "b", "label": 0}])
    text = write_csv(tmp_path / "text.csv", [{"review": "a", "label": "1"}])
    assert "read as one table" in refused(read_tables, DataConfig(train=[str(text), str(ints)]))


def test_csv_text_stays_as_it_is(tmp_path):
    rows = [{"review": text, "label": "1"} for text in ("NA", "null", "007", 'a "b", c\nd')]
    read = read_tables(config(write_csv(tmp_path / "a.csv", rows)))["train"]
    assert read.column("text") == ["NA", "null", "007", 'a "b", c\nd']
    assert read.column("label") == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], ["data.train is empty"]),
        (
            [{"review": "a", "label": 0}, {"review": " ", "label": 1}],
            ["'review' is empty", "row 2"],
        ),
        (
            [{"review": "a", "label": 0}, {"review": None, "label": 1}],
            ["'review' is empty", "row 2"],
        ),
        ([{"review": "a", "label": 0}, {"review": "b", "label": None}], ["no label", "row 2"]),
        ([{"revew": "a", "label": 0}], ["'review'", "did you mean 'revew'", "revew, label"]),
        ([{"review": 3, "label": 0}], ["must hold text", "3"]),
        ([{"review": "a", "label": [0, 1]}], ["one class per row", "[0, 1]"]),
        ([{"review": "a", "label": 0.5}], ["one class per row", "0.5"]),
    ],
)
def test_wrong_rows_are_named(tmp_path, rows, expected):
    message = refused(table, tmp_path, rows)
    for part in expected:
        assert part in message


def test_an_unreadable_file_is_named(tmp_path):
    broken = tmp_path / "a.jsonl"
    broken.write_text('{"review": "a", "label": 0}\n{"review": \n')
    assert "line 2" in refused(read_tables, config(broken))
    item = write_json_lines(tmp_path / "item.json", [[{"review": "a", "label": 0}, 3]])
    assert "item 2: expected a JSON object, not 3" in refused(read_tables, config(item))
    mixed = write_json_lines(tmp_path / "mixed.jsonl", [{"label": 1}, {"label": "bad"}])
    assert "column 'label'" in refused(read_tables, config(mixed))
    twice = tmp_path / "twice.csv"
    twice.write_text("review,label,review\na,b,c\n")
    assert "names the column 'review' twice" in refused(read_tables, config(twice))
    (tmp_path / "utf16.csv").write_bytes("review,label\na,1\n".encode("utf-16"))
    assert "save it as UTF-8" in refused(read_tables, config(tmp_path / "utf16.csv"))
    ragged = tmp_path / "a.csv"
    ragged.write_text("review,label\na,b,c\n")
    assert "line 2: more fields" in refused(read_tables, config(ragged))
    (tmp_path / "a.parquet").write_text("no")
    assert "cannot read" in refused(read_tables, config(tmp_path / "a.parquet"))
    (tmp_path / "folder").mkdir()
    assert "not written by save_to_disk" in refused(read_tables, config(tmp_path / "folder"))
    assert "finds no data set" in refused(read_tables, config("no-such/data-set"))


def test_missing_splits_are_cut_the_same_way_every_time(tmp_path):
    rows = [{"review": f"film {n}", "label": ["a", "b"][n % 4 == 0]} for n in range(100)]
    data = config(write_csv(tmp_path / "a.csv", rows))
    examples, again = load_examples(data, TASK), load_examples(data, TASK)
    sizes = {split: len(part) for split, part in examples.splits()}
    assert sizes == {"train": 80, "validation": 10, "test": 10}
    assert examples.test.column("text") == again.test.column("text")
    texts = [text for _, part in examples.splits() for text in part.column("text")]
    assert sorted(texts) == sorted(row["review"] for row in rows)
    assert 2 <= examples.test.column("label").count("b") <= 3
    assert examples.origins["test"] == "cut from train with seed 0"
    assert "10 of the 100 training rows" in examples.notes[0]
    few = config(write_csv(tmp_path / "few.csv", rows[:8]))
    assert "too few" in refused(load_examples, few, TASK)


def test_texts_in_both_train_and_test_are_said(tmp_path):
    file = write_csv(tmp_path / "a.csv", sentences(30, seed=0))
    notes = load_examples(config(file, validation=str(file), test=str(file)), TASK).notes
    assert "30 of the 30 test texts are also in train." in notes


def test_text_labels_take_the_teachers_numbers(tmp_path):
    rows = [{"review": "a", "label": label} for label in ("positive", "negative")]
    labels = labels_of_teacher(table(tmp_path, rows), TEACHER)
    assert labels.encode(table(tmp_path, rows)) == [1, 0]
    wrong = table(tmp_path, [*rows, {"review": "a", "label": "Positve"}])
    message = refused(labels.encode, wrong)
    for part in ("row 3", "'Positve'", "did you mean 'positive'", "negative, positive"):
        assert part in message
    unnamed = refused(labels_of_teacher, table(tmp_path, rows), ("LABEL_0", "LABEL_1"))
    assert "no names" in unnamed


def test_number_labels_are_the_teachers_numbers(tmp_path):
    rows = [{"review": "a", "label": label} for label in (1, 0, 1)]
    numbered = table(tmp_path, rows)
    for names in (TEACHER, ("LABEL_0", "LABEL_1")):
        assert labels_of_teacher(numbered, names).encode(numbered) == [1, 0, 1]
    high = table(tmp_path, [{"review": "a", "label": 2}])
    assert "row 1: the label 2 is unknown" in refused(labels_of_teacher(high, TEACHER).encode, high)
    stars = table(tmp_path, [{"review": "a", "label": 5}])
    assert labels_of_teacher(stars, ("1", "2", "3", "4", "5")).encode(stars) == [4]


def test_named_numbers_in_another_order_are_matched_by_name_or_refused(tmp_path):
    same = named_table(tmp_path, TEACHER, [0, 1])
    assert labels_of_teacher(same, TEACHER).encode(same) == [0, 1]
    turned = named_table(tmp_path, ("positive", "negative"), [0, 1])
    labels = labels_of_teacher(turned, TEACHER)
    assert labels.encode(turned) == [1, 0]
    assert "matched by name" in labels.note
    other = named_table(tmp_path, ("pos", "neg"), [0, 1])
    message = refused(labels_of_teacher, other, TEACHER)
    assert "cannot be matched" in message
    assert "['pos', 'neg']" in message
    unnamed = labels_of_teacher(other, ("LABEL_0", "LABEL_1"))
    assert unnamed.encode(other) == [0, 1]
    assert "no names" in unnamed.note
    hidden = named_table(tmp_path, TEACHER, [0, -1])
    assert "-1 is unknown" in refused(labels_of_teacher(hidden, TEACHER).encode, hidden)


def test_a_teacher_to_be_trained_takes_the_datas_labels(tmp_path):
    def names(values, teacher=("LABEL_0", "LABEL_1")):
        rows = [{"review": "a", "label": value} for value in values]
        return labels_of_data(table(tmp_path, rows), teacher).names

    assert names(["b", "a", "c"]) == ("a", "b", "c")
    assert names(["b", "a"], teacher=("b", "a")) == ("b", "a")
    assert names([1, 0]) == ("LABEL_0", "LABEL_1")
    assert names([5, 1, 10]) == ("1", "5", "10")
    assert labels_of_data(named_table(tmp_path, TEACHER, [1, 0]), ()).names == TEACHER
    with pytest.raises(InputError, match="at least two classes"):
        names(["a", "a"])


def test_a_student_model_needs_the_teachers_labels():
    check_student_labels(TEACHER, TEACHER)
    check_student_labels(("LABEL_0", "LABEL_1"), TEACHER)
    with pytest.raises(InputError, match="another order"):
        check_student_labels(("positive", "negative"), TEACHER)
    with pytest.raises(InputError, match="other labels"):
        check_student_labels(("bad", "good"), TEACHER)


def test_texts_are_cut_and_counted(workplace, tmp_path, bert):
    rows = [{"a": "good film", "b": "very warm", "label": n % 2} for n in range(4)]
    rows[0]["a"] = "the film was very very good and warm"
    file = str(write_csv(tmp_path / "pairs.csv", rows))
    task = TextClassification(columns=TextColumns(text="a", text_pair="b"), max_length=7)
    examples = load_examples(DataConfig(train=file, validation=file, test=file), task)
    folder = str(workplace.shared / "classifier")
    tokenizer = load_processor(folder, "teacher.model", task=task, trust_remote_code=False)
    labels = labels_of_teacher(examples.train, TEACHER)
    data = encode(examples, task, labels, tokenizer, bert)
    assert [split.truncated for split in data.splits().values()] == [0.25, 0.25, 0.25]
    assert data.train.rows["labels"] == [0, 1, 0, 1]
    assert max(len(ids) for ids in data.train.rows["input_ids"]) == 7
    batch = data.collator([data.train.rows[0], data.train.rows[1]])
    assert sorted(batch) == ["attention_mask", "input_ids", "labels"]
    exact = encode(examples, replace(task, max_length=13), labels, tokenizer, bert)
    assert exact.train.truncated == 0.0
