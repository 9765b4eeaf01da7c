import copy
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from tiny import make_batch, make_bert, make_encoder
from torch import nn
from transformers import TrainerCallback

from attndistill import (
    AttentionTerm,
    DistillationArguments,
    DistillationTrainer,
    LogitsTerm,
    Objective,
    TaskTerm,
)
from attndistill.errors import InputError, ObjectiveError
from attndistill.training import latest_complete_checkpoint


def full_objective(kind="kl"):
    return Objective(
        {"task": TaskTerm(), "logits": LogitsTerm(), "attention": AttentionTerm(kind=kind)}
    )


def make_dataset(count=24, seed=0):
    """Rows of different lengths; the label is whether the first id is odd."""
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for number in range(count):
        ids = torch.randint(5, 97, (3 + number % 9,), generator=generator).tolist()
        rows.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": ids[0] % 2})
    return Dataset.from_list(rows)


def collate(rows):
    width = max(len(row["input_ids"]) for row in rows)
    padded = {
        name: torch.tensor([row[name] + [0] * (width - len(row[name])) for row in rows])
        for name in ("input_ids", "attention_mask")
    }
    return padded | {"labels": torch.tensor([row["labels"] for row in rows])}


def make_trainer(folder, *, student=None, teacher=None, objective=None, callbacks=None, **settings):
    defaults = {
        "per_device_train_batch_size": 4,
        "max_steps": 3,
        "learning_rate": 1e-3,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        "logging_steps": 1,
        "use_cpu": True,
    }
    return DistillationTrainer(
        student or make_bert(layers=2, seed=1),
        teacher or make_bert(layers=4, seed=2),
        DistillationArguments(output_dir=str(folder), **(defaults | settings)),
        objective=objective or full_objective(),
        train_dataset=make_dataset(),
        eval_dataset=make_dataset(10, seed=1),
        data_collator=collate,
        callbacks=callbacks,
    )


def weights(trainer):
    return {name: tensor.clone() for name, tensor in trainer.model.state_dict().items()}


@pytest.mark.parametrize("kind", ["kl", "score_mse"])
def test_accumulation_does_not_change_the_training(tmp_path, kind):
    runs = []
    for batch_size, accumulation in ((8, 1), (2, 4)):
        trainer = make_trainer(
            tmp_path,
            objective=full_objective(kind),
            per_device_train_batch_size=batch_size,
            gradient_accumulation_steps=accumulation,
            optim="sgd",
            learning_rate=0.05,
            max_grad_norm=1e9,
        )
        trainer.train()
        runs.append((weights(trainer), trainer.state.log_history))
    for name, tensor in runs[0][0].items():
        torch.testing.assert_close(tensor, runs[1][0][name], rtol=0, atol=2e-6, msg=name)
    for ours, theirs in zip(runs[0][1], runs[1][1], strict=True):
        for name in ("loss", "loss_task", "loss_logits", "loss_attention"):
            if name in ours:
                assert ours[name] == pytest.approx(theirs[name], rel=1e-4)


@pytest.mark.parametrize("kind", ["kl", "reverse_kl", "js", "mse", "cosine", "score_mse"])
def test_terms_ignore_padding_and_the_order_of_the_batch(tmp_path, kind):
    trainer = make_trainer(tmp_path, objective=full_objective(kind))
    plain = trainer.dry_run(make_batch([9, 4, 6]))
    padded = trainer.dry_run(make_batch([9, 4, 6], pad_to=17))
    batch = make_batch([9, 4, 6])
    reordered = trainer.dry_run({name: value.flip(0) for name, value in batch.items()})
    for name, reading in plain.items():
        for other in (padded, reordered):
            assert other[name].value == pytest.approx(reading.value, rel=1e-5)
            assert other[name].gradient_norm == pytest.approx(reading.gradient_norm, rel=1e-4)


def test_the_objective_is_the_textbook_formula(tmp_path):
    """Against a dense computation from eager maps, for one padded batch."""
    trainer = make_trainer(tmp_path)
    batch = make_batch([9, 4])
    readings = trainer.dry_run(batch)
    outputs = []
    for model in (trainer.model, trainer.teacher_model):
        model.eval().set_attn_implementation("eager")
        with torch.no_grad():
            outputs.append(model(**batch, output_attentions=True))
    student, teacher = outputs
    mask = batch["attention_mask"].bool()
    per_layer = []
    for mine, other in ((0, 1), (1, 3)):
        p_s, p_t = student.attentions[mine], teacher.attentions[other]
        row_kl = torch.where(p_t > 0, p_t * (p_t.log() - p_s.log()), 0.0).sum(-1)
        per_layer.append(row_kl.mean(1)[mask].mean())
    kl = nn.KLDivLoss(reduction="batchmean")
    logits = 4 * kl((student.logits / 2).log_softmax(-1), (teacher.logits / 2).softmax(-1))
    assert readings["attention"].value == pytest.approx(float(sum(per_layer) / 2), rel=1e-5)
    assert readings["logits"].value == pytest.approx(float(logits), rel=1e-4)
    assert readings["task"].value == pytest.approx(float(student.loss), rel=1e-5)


def test_training_brings_attention_closer(tmp_path):
    trainer = make_trainer(tmp_path, max_steps=40, learning_rate=5e-3)
    before = trainer.evaluate()
    trainer.train()
    after = trainer.evaluate()
    assert after["eval_loss_attention"] < 0.6 * before["eval_loss_attention"]
    assert after["eval_loss"] < before["eval_loss"]
    parts = sum(after[f"eval_loss_{name}"] for name in ("task", "logits", "attention"))
    assert after["eval_loss"] == pytest.approx(parts, rel=0.05)


def test_the_teacher_is_left_as_it_was(tmp_path):
    teacher = make_bert(layers=4, seed=2, dropout=0.5).train()
    teacher.bert.encoder.layer[0].eval()
    before = copy.deepcopy(teacher.state_dict())
    make_trainer(tmp_path, teacher=teacher).train()
    assert teacher.training
    assert not teacher.bert.encoder.layer[0].output.dropout.training
    assert teacher.bert.encoder.layer[1].output.dropout.training
    for name, parameter in teacher.named_parameters():
        assert torch.equal(parameter, before[name])
        assert parameter.requires_grad
        assert parameter.grad is None


def test_the_teachers_own_columns_reach_it(tmp_path):
    trainer = make_trainer(tmp_path, student=make_encoder("distilbert"))
    trainer._set_signature_columns_if_needed()
    assert "token_type_ids" in trainer._signature_columns
    batch = make_batch([5, 3])
    batch["token_type_ids"] = torch.ones_like(batch["input_ids"])
    with_types = trainer.dry_run(batch)["attention"].value
    batch["token_type_ids"] = torch.zeros_like(batch["input_ids"])
    assert trainer.dry_run(batch)["attention"].value != with_types


class Stop(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        if state.global_step == 3:
            raise KeyboardInterrupt


def test_a_run_killed_and_resumed_ends_with_the_same_weights(tmp_path):
    settings = {"max_steps": 6, "save_strategy": "steps", "save_steps": 2, "learning_rate": 1e-2}
    whole = make_trainer(tmp_path / "whole", student=make_bert(2, seed=1, dropout=0.2), **settings)
    whole.train()
    killed = make_trainer(
        tmp_path / "killed",
        student=make_bert(2, seed=1, dropout=0.2),
        callbacks=[Stop()],
        **settings,
    )
    with pytest.raises(KeyboardInterrupt):
        killed.train()
    checkpoint = latest_complete_checkpoint(tmp_path / "killed")
    assert checkpoint.name == "checkpoint-2"
    resumed = make_trainer(
        tmp_path / "killed", student=make_bert(2, seed=7, dropout=0.2), **settings
    )
    resumed.train(resume_from_checkpoint=str(checkpoint))
    expected = weights(whole)
    for name, tensor in weights(resumed).items():
        assert torch.equal(tensor, expected[name]), name


def test_a_truncated_checkpoint_is_passed_over(tmp_path):
    trainer = make_trainer(tmp_path, save_strategy="steps", save_steps=1)
    trainer.train()
    assert latest_complete_checkpoint(tmp_path).name == "checkpoint-3"
    for number, victim in ((3, "model.safetensors"), (2, "optimizer.pt")):
        file = tmp_path / f"checkpoint-{number}" / victim
        file.write_bytes(file.read_bytes()[:-100])
    assert latest_complete_checkpoint(tmp_path).name == "checkpoint-1"
    shutil.rmtree(tmp_path / "checkpoint-1")
    assert latest_complete_checkpoint(tmp_path) is None


def test_predictions_are_the_logits_alone(tmp_path):
    trainer = make_trainer(tmp_path)
    output = trainer.predict(make_dataset(5))
    assert output.predictions.shape == (5, 2)
    assert "test_loss_attention" in output.metrics


def test_a_frozen_layer_makes_its_term_silent(tmp_path):
    student = make_bert(layers=2, seed=1)
    student.bert.requires_grad_(False)
    with pytest.raises(ObjectiveError, match="'attention' teaches the student nothing"):
        make_trainer(tmp_path, student=student).train()


class Constant:
    weight = 1.0
    needs_teacher = False

    def count(self, batch):
        return torch.tensor(1)

    def total(self, step):
        return torch.tensor(0.0)


def test_a_constant_term_stops_the_run_with_its_name(tmp_path):
    objective = Objective({"task": TaskTerm(), "mine": Constant()})
    with pytest.raises(ObjectiveError, match=r"'mine' .* constant"):
        make_trainer(tmp_path, objective=objective).train()


def test_a_student_that_starts_as_its_teacher_may_train(tmp_path):
    teacher = make_bert(layers=2, seed=2)
    student = copy.deepcopy(teacher)
    trainer = make_trainer(tmp_path, student=student, teacher=teacher)
    assert trainer.dry_run(make_batch([5, 3]))["attention"].value == pytest.approx(0, abs=1e-6)
    trainer.train()


def test_a_term_that_becomes_nan_stops_the_run(tmp_path):
    class Spoil(TrainerCallback):
        def on_step_begin(self, args, state, control, model=None, **kwargs):
            if state.global_step == 1:
                model.classifier.bias.data.fill_(float("nan"))

    with pytest.raises(ObjectiveError, match="'task' is nan at step 2"):
        make_trainer(tmp_path, callbacks=[Spoil()]).train()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_smoothing_factor": 0.1}, "label_smoothing_factor"),
        ({"gradient_checkpointing_kwargs": {"use_reentrant": True}}, "use_reentrant"),
    ],
)
def test_settings_that_would_train_wrongly_are_refused(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        make_trainer(tmp_path, **settings)


def test_data_parallel_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(DistillationArguments, "n_gpu", property(lambda self: 2))
    with pytest.raises(InputError, match="accelerate launch"):
        make_trainer(tmp_path)


def test_unequal_heads_and_labels_are_refused(tmp_path):
    student = make_bert(layers=2, num_attention_heads=4)
    with pytest.raises(InputError, match="num_attention_heads=3"):
        make_trainer(tmp_path, student=student).dry_run(make_batch([5]))
    student = make_bert(layers=2, num_labels=3)
    with pytest.raises(InputError, match="logits differ in shape"):
        make_trainer(tmp_path, student=student).dry_run(make_batch([5]))


def test_gradient_checkpointing_trains_the_same(tmp_path):
    runs = []
    for checkpointing in (False, True):
        trainer = make_trainer(tmp_path, gradient_checkpointing=checkpointing)
        trainer.train()
        runs.append(weights(trainer))
    for name, tensor in runs[0].items():
        torch.testing.assert_close(tensor, runs[1][name], rtol=0, atol=1e-5)


def test_adapters_alone_are_trained(tmp_path):
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "key"])
    trainer = DistillationTrainer(
        make_bert(layers=2, seed=1),
        make_bert(layers=4, seed=2),
        DistillationArguments(
            output_dir=str(tmp_path),
            max_steps=3,
            learning_rate=1e-2,
            use_cpu=True,
            per_device_train_batch_size=4,
            report_to="none",
            save_strategy="no",
        ),
        objective=full_objective(),
        train_dataset=make_dataset(),
        data_collator=collate,
        peft_config=config,
    )
    before = weights(trainer)
    trainer.train()
    changed = {name for name, value in weights(trainer).items() if not value.equal(before[name])}
    assert all("lora_" in name or "classifier" in name for name in changed)
    for adapter in ("lora_A", "lora_B"):
        assert sum(adapter in name for name in changed) == 4


@pytest.mark.parametrize("family", ["roberta", "modernbert"])
def test_other_encoders_train(tmp_path, family):
    trainer = make_trainer(
        tmp_path, student=make_encoder(family, seed=1), teacher=make_encoder(family, seed=2)
    )
    trainer.train()
    assert trainer.term_readings["attention"].gradient_norm > 0


TWO_PROCESSES = """
import sys, torch
sys.path.insert(0, sys.argv[1])
from test_trainer import make_trainer, weights
trainer = make_trainer(sys.argv[2], per_device_train_batch_size=int(sys.argv[3]), optim="sgd",
                       learning_rate=0.05, max_grad_norm=1e9, max_steps=3)
trainer.train()
if trainer.args.process_index == 0:
    model = trainer.accelerator.unwrap_model(trainer.model)
    torch.save([model.state_dict(), trainer.state.log_history], sys.argv[4])
"""


def test_two_processes_train_the_same_as_one(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(TWO_PROCESSES)
    here = Path(__file__).parent
    results = []
    for processes, batch_size in ((1, 4), (2, 2)):
        result = tmp_path / f"{processes}.pt"
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        arguments = [here, tmp_path / "out", batch_size, result]
        subprocess.run(
            [sys.executable, *launcher, str(script), *map(str, arguments)],
            check=True,
            capture_output=True,
            env=os.environ | {"PYTHONPATH": f"{here.parent}:{os.environ.get('PYTHONPATH', '')}"},
            timeout=240,
        )
        results.append(torch.load(result))
    (one, log), (two, other_log) = results
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], rtol=0, atol=2e-6, msg=name)
    for name in ("loss_task", "loss_logits", "loss_attention"):
        assert log[0][name] == pytest.approx(other_log[0][name], rel=1e-4)
