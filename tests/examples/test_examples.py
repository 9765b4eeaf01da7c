"""Each example is run as it stands: on a tiny teacher that knows its task, and files on disk."""

import re

import pytest
from examples.places import (
    EXAMPLES,
    QUICK,
    beginnings,
    counting,
    example,
    logged,
    reviews,
    train_classifier,
    train_decoder,
    train_summarizer,
    write_lines,
    write_reviews,
)
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    pipeline,
)

NAMES = ["bert_classifier", "llama_lora", "plain_loop", "summarizer", "trl_sft"]


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    return train_classifier(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    return train_decoder(tmp_path_factory.mktemp("llama"))


def assert_falls(values, share):
    """The mean of the last third is below a share of the first third's."""
    third = len(values) // 3
    assert sum(values[-third:]) < share * sum(values[:third])


def assert_classifies(folder):
    """The student in a folder has two layers and names the labels of texts it has not seen."""
    student = AutoModelForSequenceClassification.from_pretrained(folder)
    assert student.config.num_hidden_layers == 2
    texts, labels = zip(*reviews(20, 3), strict=True)
    answers = pipeline("text-classification", model=str(folder))(list(texts))
    right = [answer["label"] == label for answer, label in zip(answers, labels, strict=True)]
    assert sum(right) >= 18


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short(name):
    lines = (EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 60
    assert lines[0].startswith('"""')


def test_bert_classifier(tmp_path, capsys, bert):
    train = write_reviews(tmp_path / "train.csv", 96, 1)
    test = write_reviews(tmp_path / "test.csv", 32, 2)
    settings = ["--num_train_epochs", "3", "--learning_rate", "1e-3", "--seed", "1"]
    trainer = example("bert_classifier").main(
        [bert, train, test, "--keep_layers", "1", "3", "--output_dir", str(tmp_path)]
        + [*settings, *QUICK]
    )
    assert_falls(logged(trainer, "loss"), 0.8)
    assert_falls(logged(trainer, "loss_attention"), 0.7)
    shown = dict(re.findall(r"(\w+): accuracy ([\d.]+)", capsys.readouterr().out))
    assert float(shown["teacher"]) >= 0.95
    assert float(shown["student"]) >= 0.9
    assert_classifies(tmp_path / "student")


def test_plain_loop(tmp_path, capsys, bert):
    train = write_reviews(tmp_path / "train.csv", 96, 1, numbers=True)
    settings = ["--epochs", "3", "--learning-rate", "1e-3", "--output", str(tmp_path / "student")]
    example("plain_loop").main([bert, train, "--keep-layers", "1", "3", *settings])
    shown = re.findall(r"loss ([\d.]+) .*attention ([\d.]+)", capsys.readouterr().out)
    losses, attention = zip(*(map(float, pair) for pair in shown), strict=True)
    assert len(losses) == 3
    assert losses[-1] < 0.9 * losses[0]
    assert attention[-1] < 0.9 * attention[0]
    assert_classifies(tmp_path / "student")


def run_llama(tmp_path, model, *options):
    train = write_lines(tmp_path / "train.txt", counting(96, 1))
    test = write_lines(tmp_path / "test.txt", [*counting(20, 2), ""])
    settings = ["--max_steps", "18", "--rank", "2", "--learning_rate", "1e-2"]
    settings += ["--output_dir", str(tmp_path)]
    return example("llama_lora").main([model, train, test, *options, *settings, *QUICK])


def assert_counts(folder, layers):
    """The student in a folder, which is not of adapters, goes on counting."""
    assert not list(folder.glob("adapter*"))
    assert AutoModelForCausalLM.from_pretrained(folder).config.num_hidden_layers == layers
    generate = pipeline("text-generation", model=str(folder))
    (answer,) = generate("b c", max_new_tokens=2, do_sample=False)
    assert answer["generated_text"].replace(" ", "") == "bcda"


def test_llama_lora_of_fewer_layers(tmp_path, capsys, llama):
    trainer = run_llama(tmp_path, llama, "--keep_layers", "0", "2")
    assert_falls(logged(trainer, "loss"), 0.8)
    assert_falls(logged(trainer, "loss_attention"), 0.9)
    out = capsys.readouterr().out
    assert 1.0 < float(re.findall(r"perplexity: ([\d.]+)", out)[0]) < 1.6
    assert_counts(tmp_path / "student", layers=2)


def test_llama_lora_of_the_same_weights(tmp_path, capsys, llama):
    trainer = run_llama(tmp_path, llama)
    assert trainer.teacher_model is None
    first = {name: logged(trainer, f"loss_{name}")[0] for name in ("task", "logits", "attention")}
    assert first["task"] > 0.1
    assert first["logits"] == pytest.approx(0.0, abs=1e-6)
    assert first["attention"] == pytest.approx(0.0, abs=1e-6)
    assert 0 < logged(trainer, "loss_attention")[-1] < 0.1
    share = float(re.findall(r"trainable%: ([\d.]+)", capsys.readouterr().out)[0])
    assert 0 < share < 15
    assert_counts(tmp_path / "student", layers=3)


def test_summarizer(tmp_path, capsys):
    teacher = train_summarizer(tmp_path / "teacher")
    train = write_lines(tmp_path / "train.jsonl", beginnings(96, 1))
    test = write_lines(tmp_path / "test.jsonl", beginnings(16, 2))
    layers = ["--keep_encoder", "0", "2", "--keep_decoder", "0", "2"]
    settings = ["--max_steps", "24", "--learning_rate", "3e-3", "--output_dir", str(tmp_path)]
    trainer = example("summarizer").main([teacher, train, test, *layers, *settings, *QUICK])
    for term in ("", "_task", "_logits", "_encoder", "_decoder", "_cross"):
        assert_falls(logged(trainer, f"loss{term}"), 0.6)
    assert float(re.findall(r"ROUGE-L: ([\d.]+)", capsys.readouterr().out)[0]) > 0.8
    student = AutoModelForSeq2SeqLM.from_pretrained(tmp_path / "student").eval()
    assert (student.config.encoder_layers, student.config.decoder_layers) == (2, 2)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "student")
    tokens = student.generate(**tokenizer("c d a b c", return_tensors="pt"), max_new_tokens=4)
    assert tokenizer.batch_decode(tokens, skip_special_tokens=True) == ["c d"]
