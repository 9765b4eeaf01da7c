"""A tiny real workplace: a tokenizer trained on the fly, BERT models from configs, CSV files."""

import csv
import random
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import yaml
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    PreTrainedTokenizerFast,
    TrainerCallback,
)

from attndistill.training import DistillationTrainer

POSITIVE = ["good", "great", "lovely", "warm"]
NEGATIVE = ["bad", "awful", "dull", "cold"]
NEUTRAL = ["the", "film", "plot", "actor", "scene", "music", "was", "and", "very", "story"]
SPECIAL = {"unk": "[UNK]", "pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]"}


def sentences(count, seed):
    """Rows of text and label: the label is told by one word among neutral ones."""
    generator = random.Random(seed)
    for number in range(count):
        label = number % 2
        words = generator.choices(NEUTRAL, k=generator.randint(3, 9))
        words.insert(generator.randrange(len(words)), generator.choice([NEGATIVE, POSITIVE][label]))
        yield {"review": " ".join(words), "label": ["negative", "positive"][label]}


def write_csv(file: Path, rows):
    rows = list(rows)
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return file


def make_tokenizer(words):
    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.train_from_iterator(
        [" ".join(words)], trainers.WordLevelTrainer(special_tokens=list(SPECIAL.values()))
    )
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {f"{name}_token": token for name, token in SPECIAL.items()}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)


def make_config(tokenizer, **changes):
    return BertConfig(
        **{
            "vocab_size": len(tokenizer),
            "hidden_size": 24,
            "num_attention_heads": 3,
            "num_hidden_layers": 4,
            "intermediate_size": 40,
            "max_position_embeddings": 40,
            "id2label": {0: "negative", 1: "positive"},
        }
        | changes
    )


@dataclass
class Workplace:
    """The read-only folder of models and data, and this test's own folder."""

    shared: Path
    own: Path

    @property
    def recipe(self):
        """A recipe that runs: the classifier to two of its four layers."""
        return {
            "task": "classification",
            "teacher": {"model": str(self.shared / "classifier")},
            "student": {"keep_layers": [1, 3]},
            "data": {
                "train": str(self.shared / "train.csv"),
                "validation": str(self.shared / "validation.csv"),
                "test": str(self.shared / "test.csv"),
                "columns": {"text": "review"},
                "max_length": 16,
            },
            "objective": {"task": {}, "logits": {}, "attention": {}},
            "training": {"num_train_epochs": 1, "per_device_train_batch_size": 16},
            "output_dir": str(self.own / "run"),
        }

    def write(self, recipe, name="recipe.yaml"):
        file = self.own / name
        file.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
        return file


def furnish(folder: Path):
    """Write the shared models and data."""
    for split, count, seed in (("train", 96, 1), ("validation", 24, 2), ("test", 32, 3)):
        write_csv(folder / f"{split}.csv", sentences(count, seed))
    tokenizer = make_tokenizer([*POSITIVE, *NEGATIVE, *NEUTRAL])
    torch.manual_seed(0)
    for name, kind in (("encoder", BertModel), ("classifier", BertForSequenceClassification)):
        kind(make_config(tokenizer)).save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return folder


class Killed(Exception):
    pass


@contextmanager
def kill_at(step, error):
    """Make training die after a step, as a killed process would: nothing is tidied up."""

    class Kill(TrainerCallback):
        def on_step_end(self, args, state, control, **_):
            if state.global_step == step:
                raise error

    real = DistillationTrainer.__init__

    def patched(self, *args, **kwargs):
        kwargs["callbacks"] = [*kwargs.get("callbacks", ()), Kill()]
        real(self, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DistillationTrainer, "__init__", patched)
        yield


def only_error(capsys):
    """The one line of stderr, a message of ours."""
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    lines = captured.err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("attndistill: ")
    return lines[0]
