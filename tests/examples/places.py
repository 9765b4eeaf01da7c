"""The examples as modules, and the tiny teachers and files that they are run on."""

import csv
import importlib.util
import json
import random
from pathlib import Path

import torch
from recipes.workplace import NEGATIVE, NEUTRAL, POSITIVE, make_config, make_tokenizer, sentences
from tasks.language import make_decoder, make_seq2seq, make_word_tokenizer
from transformers import BertForSequenceClassification, set_seed

EXAMPLES = Path(__file__).parents[2] / "examples"
QUICK = ["--use_cpu", "--report_to", "none", "--save_strategy", "no", "--logging_steps", "1"]
WORDS = "abcd"


def example(name):
    """An example's module."""
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def counting(count, seed):
    """Texts in which every word but the first is told by the one before it."""
    generator = random.Random(seed)
    for _ in range(count):
        start, length = generator.randrange(4), generator.randint(4, 9)
        yield " ".join(WORDS[(start + number) % 4] for number in range(length))


def beginnings(count, seed):
    """Texts with their first two words as a summary."""
    for text in counting(count, seed):
        yield {"text": text, "summary": text[:3]}


def reviews(count, seed):
    """Texts and names of labels; one word of a text tells its label."""
    return [(row["review"], row["label"]) for row in sentences(count, seed)]


def write_lines(file, rows):
    """A text, or a row as JSON, on each line."""
    lines = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(file)


def write_reviews(file, count, seed, *, numbers=False):
    """A CSV file with columns text and label."""
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["text", "label"])
        for text, label in reviews(count, seed):
            writer.writerow([text, int(label == "positive") if numbers else label])
    return str(file)


def train_classifier(folder):
    """A classifier of four layers that knows its task."""
    set_seed(0)
    tokenizer = make_tokenizer([*POSITIVE, *NEGATIVE, *NEUTRAL])
    config = make_config(tokenizer, initializer_range=0.1, pad_token_id=tokenizer.pad_token_id)
    texts, labels = zip(*reviews(96, 0), strict=True)
    batch = tokenizer(list(texts), padding=True, return_tensors="pt")
    batch["labels"] = torch.tensor([label == "positive" for label in labels]).long()
    return _fitted(BertForSequenceClassification(config), tokenizer, batch, folder)


def train_decoder(folder):
    """A decoder of three layers that can count."""
    tokenizer = make_word_tokenizer(WORDS, pad_token="<unk>")
    texts = [f"{text} <end>" for text in counting(32, 0)]
    batch = tokenizer(texts, padding=True, return_tensors="pt", return_token_type_ids=False)
    batch["labels"] = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    return _fitted(make_decoder("llama", len(tokenizer), layers=3), tokenizer, batch, folder)


def train_summarizer(folder):
    """A BART of three layers in each stack that can say how a text begins."""
    tokenizer = make_word_tokenizer(WORDS, pad_token="<unk>")
    rows = list(beginnings(32, 0))
    batch = tokenizer(
        [row["text"] for row in rows],
        text_target=[f"{row['summary']} <end>" for row in rows],
        padding=True,
        return_tensors="pt",
        return_token_type_ids=False,
    )
    return _fitted(make_seq2seq("bart", len(tokenizer), layers=3), tokenizer, batch, folder)


def logged(trainer, name):
    """The values of a loss over a training."""
    return [entry[name] for entry in trainer.state.log_history if name in entry]


def _fitted(model, tokenizer, batch, folder, steps=60):
    """The folder of a model that has learnt a batch by heart."""
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(steps):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert loss < 0.5
    for part in (model, tokenizer):
        part.save_pretrained(folder)
    return str(folder)
