"""The recipes that come with the package: printed, checked, run and used, as their first lines say.

The models are tiny and made from configs; `--set` names them and makes the runs short.
"""

import json

import pytest
import torch
import yaml
from recipes.test_image_runs import write_pictures, write_vision_model
from recipes.test_language_runs import COUNTING, summaries, texts, write_lines
from recipes.workplace import sentences, write_csv
from tasks.language import make_decoder, make_seq2seq, make_word_tokenizer
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, pipeline

from attndistill.cli import main
from attndistill.recipes.catalogue import library

SPLITS = (("train", 0, 48), ("validation", 1, 12), ("test", 2, 12))
SHORT = ["training.max_steps=3", "training.eval_steps=3", "training.eval_strategy=steps"]


def write_classifier_data(folder, workplace):
    for split, seed, count in SPLITS:
        rows = ({"text": row["review"], "label": row["label"]} for row in sentences(count, seed))
        write_csv(folder / f"{split}.csv", rows)
    return workplace.shared


def write_decoder(folder, family):
    tokenizer = make_word_tokenizer(COUNTING)
    make_decoder(family, len(tokenizer), layers=4).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def classify(student):
    (answer,) = pipeline("text-classification", model=student)("the film was lovely")
    assert answer["label"] in ("negative", "positive")


def go_on(student):
    generate = pipeline("text-generation", model=student)
    (answer,) = generate("a b", max_new_tokens=2, do_sample=False)
    assert answer["generated_text"].startswith("a b")


def summarize(student):
    model, tokenizer = (
        kind.from_pretrained(student) for kind in (AutoModelForSeq2SeqLM, AutoTokenizer)
    )
    assert model.generation_config.num_beams == 2
    written = model.generate(**tokenizer("b c d a", return_tensors="pt"), max_new_tokens=3)
    assert isinstance(tokenizer.decode(written[0]), str)


def look(student):
    answers = pipeline("image-classification", model=student)("test/left/0.png")
    assert {answer["label"] for answer in answers} == {"left", "right"}


@pytest.fixture
def prepared(workplace, tmp_path, monkeypatch):
    """Put the files of a recipe where it looks for them; returns --set lines and the use."""
    monkeypatch.chdir(tmp_path)

    def prepare(name):
        teacher = tmp_path / "teacher"
        match name:
            case "bert-classification" | "bert-classification-small" | "bert-lora":
                shared = write_classifier_data(tmp_path, workplace)
                kind = "classifier" if name == "bert-lora" else "encoder"
                student = "student.keep_layers=[1, 3]"
                if name == "bert-classification-small":
                    student = "student.config.num_attention_heads=3"
                settings = [f"teacher.model={shared}/{kind}", student, "data.max_length=16"]
                if name != "bert-lora":
                    settings.append("teacher.train.max_steps=2")
                return settings, classify
            case "gpt-lm" | "llama-lora":
                write_decoder(teacher, name.split("-")[0].replace("gpt", "gpt2"))
                for split, seed, count in SPLITS:
                    write_lines(tmp_path / f"{split}.txt", texts(seed, count))
                    rows = (
                        {"prompt": text[:1], "completion": text[2:]} for text in texts(seed, count)
                    )
                    write_lines(tmp_path / f"{split}.jsonl", rows)
                return ["student.keep_layers=[1, 3]", "data.max_length=12"], go_on
            case "bart-summarization":
                tokenizer = make_word_tokenizer(COUNTING, pad_token="<unk>")
                model = make_seq2seq("bart", len(tokenizer), layers=4)
                model.generation_config.num_beams = 2
                model.save_pretrained(teacher)
                tokenizer.save_pretrained(teacher)
                for split, seed, count in SPLITS:
                    write_lines(tmp_path / f"{split}.jsonl", summaries(seed, count))
                lengths = ["data.max_length=12", "data.max_target_length=4"]
                return ["student.keep_layers={decoder: [0, 3]}", *lengths], summarize
            case "vit-classification":
                write_vision_model(teacher)
                for split, seed, count in SPLITS:
                    write_pictures(tmp_path / split, count, seed)
                settings = ["student.keep_layers=[0, 2]", "teacher.train.max_steps=2"]
                return settings, look
        raise AssertionError(name)

    return prepare


@pytest.mark.parametrize("name", list(library()))
def test_a_library_recipe_runs_from_its_files_to_a_student_in_use(name, prepared, capsys, tmp_path):
    settings, use = prepared(name)
    assert main(["recipes", name]) == 0
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(capsys.readouterr().out, encoding="utf-8")
    if (tmp_path / "teacher").exists():
        settings.append("teacher.model=teacher")
    arguments = [str(recipe)]
    for setting in (*settings, *SHORT, "output_dir=run"):
        arguments += ["--set", setting]
    assert main(["doctor", *arguments]) == 0
    assert capsys.readouterr().out.endswith("ready\n")
    assert main(["run", *arguments]) == 0
    report = json.loads((tmp_path / "run" / "report.json").read_text(encoding="utf-8"))
    terms = yaml.safe_load(library()[name])["objective"]
    assert set(report["training"]["first_step"]) == set(terms)
    for term, reading in report["training"]["first_step"].items():
        # An encoder that is kept whole starts as the teacher's.
        assert reading["gradient_norm"] > 0 or term == "encoder_attention", term
    torch.manual_seed(0)
    use(str(tmp_path / "run" / "student"))
