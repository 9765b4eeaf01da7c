"""A tiny teacher and student, a tokenizer trained on the fly, and a whole report of them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from datasets import Dataset
from metrics.answers import MATCHES, SELF
from tiny import make_bert
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import DataCollatorWithPadding, PreTrainedTokenizerFast

from attndistill.measure import (
    attention_fidelity,
    detect_environment,
    measure_costs,
    predict,
    sample_attention,
)
from attndistill.metrics import assess_classes, quality_of
from attndistill.objectives import TermReading
from attndistill.report import (
    ArmRun,
    DataSection,
    ModelSection,
    RunReport,
    SplitSection,
    TrainingSection,
    compare_arms,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]


@pytest.fixture(scope="session")
def texts():
    words = "the film was good bad dull bright and never quite so long".split()
    generator = np.random.default_rng(0)
    return [" ".join(generator.choice(words, size)) for size in generator.integers(3, 12, 37)]


@pytest.fixture(scope="session")
def tokenizer(texts):
    raw = Tokenizer(models.WordLevel(unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.train_from_iterator(texts, trainers.WordLevelTrainer(special_tokens=SPECIAL))
    raw.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=raw,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )


@pytest.fixture(scope="session")
def collator(tokenizer):
    return DataCollatorWithPadding(tokenizer)


@pytest.fixture(scope="session")
def dataset(texts, tokenizer):
    labels = [index % 2 for index in range(len(texts))]
    return Dataset.from_dict({**tokenizer(texts), "labels": labels})


@pytest.fixture(scope="session")
def teacher():
    return make_bert(layers=4, seed=1)


@pytest.fixture(scope="session")
def student():
    return make_bert(layers=2, seed=2)


@pytest.fixture(scope="session")
def report(teacher, student, dataset, collator, tokenizer, texts):
    """A report with everything in it, of models that were not trained."""
    labels = np.array(dataset["labels"])
    of_teacher, of_student = (
        assess_classes(predict(m, dataset, collator), labels) for m in (teacher, student)
    )
    models = {"teacher": teacher, "student": student}
    costs = measure_costs(models, dataset, collator, batch_sizes=(1, 4), seconds=0.05)
    runs = [
        ArmRun(
            name=name,
            seed=3,
            terms=tuple(name.split("+")),
            training_seconds=71.0,
            assessed=assessed,
        )
        for name, assessed in (("task", of_teacher), ("task+attention", of_student))
    ]
    encoded = {name: torch.tensor([ids]) for name, ids in tokenizer(texts[0]).items()}
    return RunReport(
        created="2026-01-02T03:04:05+00:00",
        environment=detect_environment(),
        task="classification",
        seed=3,
        recipe={"task": "classification", "data": {"train": "train.csv"}, "layers": [[0, 1]]},
        trust_remote_code=False,
        layer_map={str(SELF): MATCHES[0].layer_map.pairs},
        data=DataSection(
            splits={"test": SplitSection(rows=37, origin="test.csv", truncation=0.25)},
            max_length=16,
            labels=("negative", "positive"),
        ),
        teacher=ModelSection(
            name="models/teacher",
            architecture="BertForSequenceClassification, 4 layers",
            quality=quality_of(of_teacher),
            cost=costs["teacher"],
        ),
        student=ModelSection(
            name="runs/x/student",
            architecture="BertForSequenceClassification, 2 layers",
            quality=quality_of(of_student, teacher=of_teacher),
            cost=costs["student"],
        ),
        training=TrainingSection(
            seconds=71.0,
            steps=20,
            history=(
                {"step": 10, "loss": 1.5, "loss_task": 0.7, "epoch": 0.5},
                {"step": 20, "loss": 1.0, "loss_task": 0.6, "epoch": 1.0},
                {"step": 20, "eval_loss": float("nan"), "eval_accuracy": 0.5, "eval_runtime": 1.0},
            ),
            first_step={"task": TermReading(value=0.7, weight=1.0, gradient_norm=2.5)},
        ),
        fidelity=tuple(attention_fidelity(teacher, student, MATCHES, dataset, collator)),
        comparison=compare_arms(runs, teacher=of_teacher, reference="task+attention"),
        sample=sample_attention(teacher, student, MATCHES, encoded, tokenizer, max_heads=2),
        notes=("A note.",),
    )


@pytest.fixture
def changed(report):
    """The report with some of its fields replaced."""
    return lambda **changes: replace(report, **changes)
