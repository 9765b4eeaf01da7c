import pytest
import torch
from datasets import Dataset
from tiny import make_batch, make_bert
from transformers import EarlyStoppingCallback

from attndistill import (
    AttentionTerm,
    DistillationArguments,
    DistillationTrainer,
    LogitsTerm,
    Objective,
    TaskTerm,
    build_student,
)

LENGTHS = [3, 11, 7, 4, 12, 9, 5]


def make_rows(labelled=True):
    rows = []
    for number, length in enumerate(LENGTHS):
        batch = make_batch([length], seed=number)
        row = {name: batch[name][0].tolist() for name in ("input_ids", "attention_mask")}
        rows.append(row | ({"labels": number % 2} if labelled else {}))
    return Dataset.from_list(rows)


def collate(rows):
    lengths = [len(row["input_ids"]) for row in rows]
    batch = make_batch(lengths)
    for number, row in enumerate(rows):
        batch["input_ids"][number, : lengths[number]] = batch["input_ids"].new_tensor(
            row["input_ids"]
        )
    if "labels" in rows[0]:
        batch["labels"] = batch["labels"].new_tensor([row["labels"] for row in rows])
    else:
        del batch["labels"]
    return batch


def make_trainer(tmp_path, terms, *, batch_size=4, rows=None):
    teacher = make_bert(layers=4)
    return DistillationTrainer(
        build_student(teacher, keep_layers=[1, 3]),
        teacher,
        DistillationArguments(
            output_dir=str(tmp_path), per_device_eval_batch_size=batch_size, disable_tqdm=True
        ),
        objective=Objective(terms),
        data_collator=collate,
        eval_dataset=rows or make_rows(),
    )


def evaluate(tmp_path, terms, **options):
    return make_trainer(tmp_path, terms, **options).evaluate()


def test_the_evaluation_loss_is_the_objective_whatever_the_batches(tmp_path):
    terms = {"task": TaskTerm(weight=0.5), "attention": AttentionTerm(weight=3.0)}
    metrics = [evaluate(tmp_path, terms, batch_size=size) for size in (1, 3, 7)]
    for found in metrics:
        objective = 0.5 * found["eval_loss_task"] + 3 * found["eval_loss_attention"]
        assert found["eval_loss"] == pytest.approx(objective, rel=1e-6)
        assert found["eval_loss"] == pytest.approx(metrics[0]["eval_loss"], rel=1e-5)


def test_rows_without_labels_have_an_evaluation_loss(tmp_path):
    terms = {"logits": LogitsTerm(), "attention": AttentionTerm()}
    labelled = evaluate(tmp_path, terms)
    unlabelled = evaluate(tmp_path, terms, rows=make_rows(labelled=False))
    assert unlabelled["eval_loss"] > 0
    assert unlabelled["eval_loss"] == pytest.approx(labelled["eval_loss"], rel=1e-6)


def test_rows_without_labels_are_predicted_where_the_task_term_asks_for_them(tmp_path):
    trainer = make_trainer(tmp_path, {"task": TaskTerm(), "attention": AttentionTerm()})
    labelled = trainer.predict(make_rows())
    found = trainer.predict(make_rows(labelled=False))
    torch.testing.assert_close(found.predictions, labelled.predictions, rtol=0, atol=0)
    assert found.label_ids is None
    assert "test_loss" in labelled.metrics
    assert "test_loss" not in found.metrics
    assert trainer.evaluate(make_rows(labelled=False)).keys().isdisjoint({"eval_loss"})


def test_training_stops_early_where_nothing_improves_and_the_best_is_loaded(tmp_path):
    teacher = make_bert(layers=4)
    trainer = DistillationTrainer(
        build_student(teacher, keep_layers=[1, 3]),
        teacher,
        DistillationArguments(
            output_dir=str(tmp_path),
            num_train_epochs=9,
            # Far too high: every update makes it worse.
            learning_rate=0.5,
            lr_scheduler_type="constant",
            eval_strategy="epoch",
            save_strategy="epoch",
            load_best_model_at_end=True,
            disable_tqdm=True,
        ),
        objective=Objective({"task": TaskTerm(), "attention": AttentionTerm()}),
        data_collator=collate,
        train_dataset=make_rows(),
        eval_dataset=make_rows(),
        callbacks=[EarlyStoppingCallback(early_stopping_patience=2)],
    )
    trainer.train()
    losses = [entry["eval_loss"] for entry in trainer.state.log_history if "eval_loss" in entry]
    best = min(range(len(losses)), key=losses.__getitem__)
    assert len(losses) == best + 3 < 9
    assert trainer.evaluate()["eval_loss"] == pytest.approx(losses[best], rel=1e-5)
