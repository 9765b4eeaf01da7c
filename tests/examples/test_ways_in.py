"""What docs/ways-in.md shows runs as it stands there, and its three ways train the same."""

import copy
import re
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from examples.places import reviews
from recipes.workplace import NEGATIVE, NEUTRAL, POSITIVE, make_config, make_tokenizer
from torch.utils.data import DataLoader
from transformers import (
    AutoModelForSequenceClassification,
    BertForSequenceClassification,
    DataCollatorWithPadding,
)

from attndistill import DistillationArguments

PAGE = Path(__file__).parents[2].joinpath("docs", "ways-in.md").read_text(encoding="utf-8")
SHARED, TRAINER, LOOP, STEPS, COMPUTE_LOSS, OWN_TERM = re.findall(
    r"```python\n(.*?)```", PAGE, re.DOTALL
)


@pytest.fixture
def names(tmp_path, monkeypatch):
    """What the page's snippets share, and a few rows to learn from."""
    monkeypatch.chdir(tmp_path)
    tokenizer = make_tokenizer([*POSITIVE, *NEGATIVE, *NEUTRAL])
    config = make_config(
        tokenizer,
        num_hidden_layers=6,
        initializer_range=0.2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    for part in (BertForSequenceClassification(config), tokenizer):
        part.save_pretrained("path/to/teacher")
    found = {}
    exec(SHARED, found)
    rows = [
        {**tokenizer(text), "labels": int(label == "positive")} for text, label in reviews(24, 1)
    ]
    return found | {"data": Dataset.from_list(rows)}


def loader(names, batch_size):
    collate = DataCollatorWithPadding(names["tokenizer"])
    return DataLoader(names["data"], batch_size=batch_size, collate_fn=collate)


def after(names, code, **more):
    """A copy of the student after a snippet, by plain gradient descent where that loops itself."""
    student = copy.deepcopy(names["student"])
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    distiller = names["Distiller"](student, names["teacher"], objective=names["objective"])
    values = names | {"student": student, "optimizer": optimizer, "distiller": distiller} | more
    exec(code, values)
    return values


def assert_same_weights(model, other):
    weights = other.state_dict()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(tensor, weights[name], rtol=0, atol=2e-6, msg=name)


def test_the_trainer(names):
    values = after(names, TRAINER)
    history = values["trainer"].state.log_history
    assert history[-1]["train_loss"] > 0
    saved = AutoModelForSequenceClassification.from_pretrained("runs/out/student")
    assert_same_weights(saved, values["student"])


def test_the_loop_over_parts_of_a_step_equals_the_plain_loop(names):
    plain = after(names, LOOP, loader=loader(names, 8))
    assert set(plain["terms"]) == {"task", "logits", "attention"}
    small = list(loader(names, 2))
    parts = after(names, STEPS, steps=[small[n : n + 4] for n in range(0, len(small), 4)])
    assert_same_weights(parts["student"], plain["student"])
    start = names["student"].state_dict()
    assert any(not torch.equal(v, start[n]) for n, v in plain["student"].state_dict().items())


def test_compute_loss_in_another_trainer_trains_as_ours(names):
    settings = {
        "output_dir": "out",
        "num_train_epochs": 1,
        "optim": "sgd",
        "learning_rate": 0.1,
        "max_grad_norm": 1e9,
        "logging_steps": 1,
        "use_cpu": True,
        "save_strategy": "no",
        "seed": 5,
    }
    values = after(names, COMPUTE_LOSS)
    split = {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}
    rest = {"train_dataset": names["data"], "processing_class": names["tokenizer"]}
    theirs = values["MyTrainer"](
        values["student"], DistillationArguments(**settings | split), **rest
    )
    theirs.train()
    ours = names["DistillationTrainer"](
        names["student"],
        names["teacher"],
        DistillationArguments(per_device_train_batch_size=8, **settings),
        objective=names["objective"],
        **rest,
    )
    ours.train()
    assert_same_weights(values["student"], names["student"])
    losses = [
        [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        for trainer in (theirs, ours)
    ]
    assert len(losses[0]) == 3
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    # Another Trainer's is a mean of batch means.
    metrics = theirs.evaluate(names["data"])
    assert metrics["eval_loss"] == pytest.approx(
        ours.evaluate(names["data"])["eval_loss"], rel=1e-3
    )


def test_a_term_of_ones_own(names):
    values = after(names, OWN_TERM)
    student, teacher = values["student"].eval(), values["teacher"].eval()
    distiller = values["Distiller"](student, teacher, objective=values["objective"])
    batch = next(iter(loader(names, 4)))
    loss, terms = distiller.loss_and_terms(batch)
    with torch.no_grad():
        logits = [model(**{k: v for k, v in batch.items()}).logits for model in (student, teacher)]
    cosine = (1 - torch.nn.functional.cosine_similarity(*logits)).mean()
    torch.testing.assert_close(terms["cosine"], cosine)
    torch.testing.assert_close(loss.detach(), terms["task"] + 0.5 * cosine)
