"""Language models and raw text, run from files through the command line."""

import json
import random

import pytest
import torch
from recipes.workplace import NEUTRAL, make_config, make_tokenizer
from tasks.language import make_decoder, make_seq2seq, make_word_tokenizer
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BertModel,
    pipeline,
)

from attndistill.cli import main
from attndistill.metrics import Assessment, mean_score
from attndistill.recipes.config.recipe import load_recipe
from attndistill.recipes.running import run as run_recipe

COUNTING = {"a": "b", "b": "c", "c": "d", "d": "a"}


def counted(start, length):
    words = [start]
    while len(words) < length:
        words.append(COUNTING[words[-1]])
    return words


def write_lines(file, rows):
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(file)


def texts(seed, count):
    generator = random.Random(seed)
    for _ in range(count):
        yield " ".join(counted(generator.choice("abcd"), generator.randint(3, 9)))


@pytest.fixture
def decoder(tmp_path):
    tokenizer = make_word_tokenizer([*COUNTING, "then"])
    model = make_decoder("gpt2", len(tokenizer), layers=3)
    model.save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    return str(tmp_path / "gpt2")


def recipe_of(workplace, task, model, data, **training):
    return {
        "task": task,
        "teacher": {"model": model},
        "student": {"keep_layers": [0, 2]},
        "data": data,
        "training": {"per_device_train_batch_size": 8, **training},
        "output_dir": str(workplace.own / "run"),
    }


def run(workplace, recipe):
    assert main(["run", str(workplace.write(recipe))]) == 0
    return json.loads((workplace.own / "run" / "report.json").read_text(encoding="utf-8"))


def test_a_decoder_learns_completions_and_generates_with_plain_transformers(workplace, decoder):
    def rows(seed, count):
        for words in map(str.split, texts(seed, count)):
            yield {"given": " ".join(words[:2]), "wanted": " ".join(words[2:])}

    data = {
        split: write_lines(workplace.own / f"{split}.jsonl", rows(seed, count))
        for split, seed, count in (("train", 0, 200), ("validation", 1, 12), ("test", 2, 20))
    }
    data |= {"columns": {"prompt": "given", "completion": "wanted"}, "max_length": 16}
    recipe = recipe_of(workplace, "causal-lm", decoder, data, load_best_model_at_end=True)
    recipe["objective"] = {"task": {}, "attention": {"weight": 0.1}}
    recipe["training"] |= {"num_train_epochs": 6, "learning_rate": 1e-2}
    file = workplace.write(recipe)
    assert main(["doctor", str(file)]) == 0
    report = run(workplace, recipe)
    quality = report["student"]["quality"]
    assert quality["deciding"] == "perplexity"
    assert quality["metrics"]["perplexity"]["value"] < 3.0
    assert report["recipe"]["training"]["metric_for_best_model"] == "loss_task"
    assert report["recipe"]["training"]["greater_is_better"] is False
    folder = workplace.own / "run" / "student"
    assert AutoModelForCausalLM.from_pretrained(folder).config.n_layer == 2
    generate = pipeline("text-generation", model=str(folder))
    (answer,) = generate("a b", max_new_tokens=3, do_sample=False)
    assert answer["generated_text"].replace(" ", "") == "abcda"


def test_raw_text_is_streamed_and_packed(workplace, decoder, capsys):
    data = {
        "train": [write_lines(workplace.own / "train.txt", texts(0, 1100))],
        "test": write_lines(workplace.own / "test.txt", texts(2, 20)),
        "max_length": 8,
        "streaming": True,
        "packing": True,
    }
    recipe = recipe_of(workplace, "causal-lm", decoder, data)
    recipe["objective"] = {"task": {}, "attention": {}}
    assert main(["run", str(workplace.write(recipe))]) == 2
    assert "training.max_steps is needed" in capsys.readouterr().err
    recipe["training"]["max_steps"] = 8
    report = run(workplace, recipe)
    assert report["training"]["steps"] == 8
    assert report["data"]["splits"]["train"]["rows"] is None
    assert report["data"]["splits"]["validation"]["rows"] == 500
    assert any("eval_loss_task" in row for row in report["training"]["history"])
    labelled = recipe | {"task": "classification"}
    labelled["data"] = {"train": data["train"], "streaming": True}
    other = workplace.own / "other"
    assert main(["run", str(workplace.write(labelled)), "--output-dir", str(other)]) == 2
    assert "data.streaming is for text without labels" in capsys.readouterr().err
    assert not other.exists()


def test_an_encoder_learns_attention_alone_on_raw_text(workplace, capsys):
    tokenizer = make_tokenizer(NEUTRAL)
    torch.manual_seed(0)
    BertModel(make_config(tokenizer, num_hidden_layers=3)).save_pretrained(workplace.own / "bert")
    tokenizer.save_pretrained(workplace.own / "bert")
    generator = random.Random(0)
    lines = [" ".join(generator.choices(NEUTRAL, k=generator.randint(3, 12))) for _ in range(80)]
    data = {"train": write_lines(workplace.own / "train.txt", lines), "max_length": 16}
    recipe = recipe_of(workplace, "feature-extraction", str(workplace.own / "bert"), data)
    recipe["training"]["num_train_epochs"] = 1
    recipe["objective"] = {"logits": {}, "attention": {}}
    assert main(["run", str(workplace.write(recipe))]) == 2
    assert "objective.logits compares logits" in capsys.readouterr().err
    del recipe["objective"]
    report = run(workplace, recipe)
    assert list(report["training"]["first_step"]) == ["attention"]
    assert -1 <= report["student"]["quality"]["ratio"]["value"] <= 1
    student = AutoModel.from_pretrained(workplace.own / "run" / "student")
    assert student.config.num_hidden_layers == 2
    features = pipeline("feature-extraction", model=str(workplace.own / "run" / "student"))
    assert len(features("the film")[0]) == 4


def test_a_users_own_metric_and_collator_are_used_throughout(workplace):
    seen = []

    def share_of_first_class(logits, labels):
        return Assessment(scores={"First": mean_score(logits.argmax(1) == 0)}, truth=labels)

    def collate(rows):
        seen.append(len(rows))
        width = max(len(row["input_ids"]) for row in rows)
        return {
            name: torch.tensor([row[name] + [0] * (width - len(row[name])) for row in rows])
            for name in ("input_ids", "attention_mask")
        } | {"labels": torch.tensor([row["labels"] for row in rows])}

    recipe = workplace.recipe
    recipe["training"]["load_best_model_at_end"] = True
    loaded = load_recipe(workplace.write(recipe), metric=share_of_first_class, collate=collate)
    assert loaded.training["metric_for_best_model"] == "metric"
    report = run_recipe(loaded)
    assert report.student.quality.deciding == "First"
    assert any("eval_metric" in row for row in report.training.history)
    assert 16 in seen
    assert "The metric is the caller's own: share_of_first_class" in " ".join(report.notes)


def summaries(seed, count):
    """The summary of a text is its first two words."""
    for text in texts(seed, count):
        yield {"text": text, "summary": " ".join(text.split()[:2])}


def summary_data(workplace, count=160):
    splits = (("train", 0, count), ("validation", 1, 12), ("test", 2, 16))
    data = {
        split: write_lines(workplace.own / f"{split}.jsonl", summaries(seed, rows))
        for split, seed, rows in splits
    }
    return data | {"max_length": 12, "max_target_length": 4}


def test_an_encoder_decoder_summarizes_with_plain_transformers(workplace):
    tokenizer = make_word_tokenizer(COUNTING, pad_token="<unk>")
    teacher = make_seq2seq("bart", len(tokenizer), layers=2)
    teacher.generation_config.num_beams = 2
    teacher.generation_config.max_new_tokens = 4
    teacher.save_pretrained(workplace.own / "bart")
    tokenizer.save_pretrained(workplace.own / "bart")
    data = summary_data(workplace)
    recipe = recipe_of(workplace, "summarization", str(workplace.own / "bart"), data)
    recipe["student"] = {"keep_layers": {"encoder": [0, 1], "decoder": [1]}}
    recipe["objective"] = {
        "task": {},
        "encoder_attention": {"weight": 0.01},
        "decoder_attention": {"weight": 0.01},
        "cross_attention": {"weight": 0.01, "layers": [[0, 1]]},
    }
    recipe["training"] |= {
        "num_train_epochs": 8,
        "learning_rate": 5e-3,
        "load_best_model_at_end": True,
    }
    file = workplace.write(recipe)
    assert main(["doctor", str(file)]) == 0
    report = run(workplace, recipe)
    quality = report["student"]["quality"]
    assert list(quality["metrics"])[:3] == ["ROUGE-L", "ROUGE-1", "ROUGE-2"]
    assert quality["metrics"]["ROUGE-L"]["value"] > 0.9
    assert report["layer_map"] == {
        "encoder self-attention": [[0, 0], [1, 1]],
        "decoder self-attention": [[0, 1]],
        "decoder cross-attention": [[0, 1]],
    }
    assert [layer["group"][:7] for layer in report["sample"]["layers"]] == [
        *["encoder"] * 2,
        *["decoder"] * 2,
    ]
    folder = workplace.own / "run" / "student"
    student = AutoModelForSeq2SeqLM.from_pretrained(folder)
    assert (student.config.encoder_layers, student.config.decoder_layers) == (2, 1)
    assert student.generation_config.num_beams == 2
    # Transformers 5 has no pipeline for encoder–decoders of text: generate is the plain way.
    read = AutoTokenizer.from_pretrained(folder)
    written = student.generate(**read("b c d a b", return_tensors="pt"))
    assert read.decode(written[0], skip_special_tokens=True).replace(" ", "") == "bc"


def test_a_decoder_alone_summarizes_too(workplace):
    tokenizer = make_word_tokenizer([*COUNTING, "=>"], pad_token="<unk>")
    make_decoder("llama", len(tokenizer), layers=3).save_pretrained(workplace.own / "llama")
    tokenizer.save_pretrained(workplace.own / "llama")
    data = summary_data(workplace) | {"template": "{text} =>"}
    recipe = recipe_of(workplace, "summarization", str(workplace.own / "llama"), data)
    recipe["objective"] = {"task": {}, "attention": {"weight": 0.01}}
    recipe["training"] |= {"num_train_epochs": 8, "learning_rate": 1e-2}
    report = run(workplace, recipe)
    assert report["student"]["quality"]["metrics"]["ROUGE-L"]["value"] > 0.8
