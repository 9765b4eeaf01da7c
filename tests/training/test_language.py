"""Language models under the trainer: token terms, generation in evaluation, accumulation."""

import copy

import numpy as np
import pytest
import torch
from datasets import Dataset
from tiny import make_llama, make_seq2seq

from attndistill import (
    AttentionTerm,
    DistillationArguments,
    DistillationTrainer,
    LogitsTerm,
    Objective,
    TaskTerm,
)
from attndistill.errors import InputError

SEQ2SEQ = Objective(
    {
        "task": TaskTerm(),
        "logits": LogitsTerm(),
        "encoder": AttentionTerm(stack="encoder"),
        "decoder": AttentionTerm(stack="decoder"),
        "cross": AttentionTerm(stack="decoder", cross=True),
    }
)
CAUSAL = Objective({"task": TaskTerm(), "logits": LogitsTerm(), "attention": AttentionTerm()})


def make_rows(count, *, seq2seq):
    generator = torch.Generator().manual_seed(count)
    rows = []
    for number in range(count):
        ids = torch.randint(5, 97, (4 + number % 5,), generator=generator).tolist()
        labels = torch.randint(5, 97, (2 + number % 4,), generator=generator).tolist()
        rows.append({"input_ids": ids, "labels": labels if seq2seq else ids})
    return Dataset.from_list(rows)


def collate(rows):
    """Pads ids with 0 and labels with -100, without a tokenizer."""
    batch = {}
    for name, padding in (("input_ids", 0), ("labels", -100)):
        width = max(len(row[name]) for row in rows)
        batch[name] = torch.tensor([r[name] + [padding] * (width - len(r[name])) for r in rows])
    return batch | {"attention_mask": (batch["input_ids"] != 0).long()}


def make_trainer(folder, student, teacher, objective, *, compute_metrics=None, **settings):
    defaults = {
        "per_device_train_batch_size": 4,
        "per_device_eval_batch_size": 3,
        "max_steps": 3,
        "learning_rate": 1e-3,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        "use_cpu": True,
    }
    seq2seq = student.config.is_encoder_decoder
    return DistillationTrainer(
        student,
        teacher,
        DistillationArguments(output_dir=str(folder), **(defaults | settings)),
        objective=objective,
        train_dataset=make_rows(24, seq2seq=seq2seq),
        eval_dataset=make_rows(7, seq2seq=seq2seq),
        data_collator=collate,
        compute_metrics=compute_metrics,
    )


@pytest.mark.parametrize("family", ["bart", "t5", "llama"])
def test_accumulation_does_not_change_the_training(tmp_path, family):
    runs = []
    for batch_size, accumulation in ((8, 1), (2, 4)):
        if family == "llama":
            student, teacher, objective = make_llama(1, 1), make_llama(2, 2), CAUSAL
        else:
            student, teacher = make_seq2seq(family, 2, seed=1), make_seq2seq(family, 3, seed=2)
            objective = SEQ2SEQ
        trainer = make_trainer(
            tmp_path,
            student,
            teacher,
            objective,
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=accumulation,
            optim="sgd",
            learning_rate=0.02,
            max_grad_norm=1e9,
        )
        trainer.train()
        runs.append((student.state_dict(), trainer.state.log_history))
    for name, tensor in runs[0][0].items():
        torch.testing.assert_close(tensor, runs[1][0][name], rtol=0, atol=5e-6, msg=name)
    for ours, theirs in zip(runs[0][1], runs[1][1], strict=True):
        for name in (name for name in ours if name.startswith("loss")):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-4)


def test_evaluation_generates_and_leaves_the_generation_config(tmp_path):
    student, teacher = make_seq2seq("bart", 2, seed=1), make_seq2seq("bart", 3, seed=2)
    student.generation_config.num_beams = 2
    before = copy.deepcopy(student.generation_config.to_dict())
    seen = []

    def compute_metrics(prediction):
        seen.append(prediction)
        return {"tokens": float((prediction.predictions > 0).sum())}

    trainer = make_trainer(
        tmp_path,
        student,
        teacher,
        SEQ2SEQ,
        compute_metrics=compute_metrics,
        predict_with_generate=True,
        generation_max_length=6,
    )
    metrics = trainer.evaluate()
    assert student.generation_config.to_dict() == before
    tokens = seen[0].predictions
    assert np.issubdtype(tokens.dtype, np.integer)
    rows = make_rows(7, seq2seq=True)
    student.eval()
    for row, generated in zip(rows, tokens, strict=True):
        alone = student.generate(torch.tensor([row["input_ids"]]), max_length=6)[0]
        assert generated[: len(alone)].tolist() == alone.tolist()
    labels = [row[row >= 0].tolist() for row in seen[0].label_ids]
    assert labels == list(rows["labels"])
    without = make_trainer(tmp_path, student, teacher, SEQ2SEQ).evaluate()
    for name in ("task", "logits", "encoder", "decoder", "cross"):
        loss = metrics[f"eval_loss_{name}"]
        assert loss == pytest.approx(without[f"eval_loss_{name}"], rel=1e-5)
        assert loss > 0


def test_generation_shows_the_answer_to_no_decoder(tmp_path):
    with pytest.raises(InputError, match="get the answer as part of its prompt"):
        make_trainer(tmp_path, make_llama(1), make_llama(1), CAUSAL, predict_with_generate=True)


def test_metrics_on_logits_see_all_of_them(tmp_path):
    shapes = []

    def compute_metrics(prediction):
        shapes.append(prediction.predictions.shape)
        return {}

    student, teacher = make_llama(1, 1), make_llama(2, 2)
    with_metrics = make_trainer(tmp_path, student, teacher, CAUSAL, compute_metrics=compute_metrics)
    ours = with_metrics.evaluate()
    assert shapes == [(7, 8, 97)]
    theirs = make_trainer(tmp_path, student, teacher, CAUSAL).evaluate()
    assert ours["eval_loss"] == pytest.approx(theirs["eval_loss"], rel=1e-6)


def test_the_collators_own_decoder_inputs_are_taken(tmp_path):
    student, teacher = make_seq2seq("bart", 2, seed=1), make_seq2seq("bart", 3, seed=2)
    trainer = make_trainer(tmp_path, student, teacher, SEQ2SEQ)
    batch = collate(list(make_rows(3, seq2seq=True)))
    shifted = student.prepare_decoder_input_ids_from_labels(labels=batch["labels"])
    plain, given = trainer.dry_run(batch), trainer.dry_run(batch | {"decoder_input_ids": shifted})
    assert {n: r.value for n, r in given.items()} == {n: r.value for n, r in plain.items()}
