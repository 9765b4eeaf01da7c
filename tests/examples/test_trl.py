"""The objective as the loss of TRL's SFTTrainer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from examples.places import QUICK, WORDS, counting, example, logged, train_decoder, write_lines
from tasks.language import make_decoder, make_word_tokenizer
from transformers import pipeline

from attndistill import (
    AttentionTerm,
    DistillationArguments,
    DistillationTrainer,
    LogitsTerm,
    Objective,
    TaskTerm,
)

trl = pytest.importorskip("trl", reason="the example for TRL needs trl")

OBJECTIVE = Objective({"task": TaskTerm(), "logits": LogitsTerm(), "attention": AttentionTerm()})
TERMS = ("loss", "loss_task", "loss_logits", "loss_attention")
EXACT = {
    "per_device_train_batch_size": 8,
    "max_steps": 3,
    "learning_rate": 0.05,
    "optim": "sgd",
    "max_grad_norm": 1e9,
    "logging_steps": 1,
    "save_strategy": "no",
    "report_to": "none",
    "use_cpu": True,
    "bf16": False,
}


def texts():
    return Dataset.from_list([{"text": text} for text in counting(24, 1)])


def completions():
    rows = ({"prompt": text[:4], "completion": text[4:]} for text in counting(24, 1))
    return Dataset.from_list(list(rows))


def make_trainer(folder, data=None, **settings):
    tokenizer = make_word_tokenizer(WORDS, pad_token="<unk>")
    more = {name: settings.pop(name) for name in ("peft_config",) if name in settings}
    return example("trl_sft").DistillationSFTTrainer(
        make_decoder("llama", len(tokenizer), layers=2, seed=1),
        trl.SFTConfig(output_dir=str(folder), **EXACT | settings),
        teacher=make_decoder("llama", len(tokenizer), layers=3, seed=2),
        objective=OBJECTIVE,
        train_dataset=data or texts(),
        processing_class=tokenizer,
        **more,
    )


def assert_same_training(trainer, other, names=TERMS):
    """Two trainings logged the same losses and left the same weights."""
    for name in names:
        assert logged(trainer, name) == pytest.approx(logged(other, name), rel=1e-4)
        assert len(logged(trainer, name)) == 3
    weights = other.model.state_dict()
    for name, tensor in trainer.model.state_dict().items():
        torch.testing.assert_close(tensor, weights[name], rtol=0, atol=5e-6, msg=name)


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A training of three steps on batches of eight texts."""
    trainer = make_trainer(tmp_path_factory.mktemp("plain"))
    trainer.train()
    return trainer


def test_the_example(tmp_path):
    teacher = train_decoder(tmp_path / "teacher")
    data = write_lines(tmp_path / "train.jsonl", ({"text": text} for text in counting(96, 1)))
    settings = ["--max_steps", "18", "--learning_rate", "5e-3", "--output_dir", str(tmp_path)]
    trainer = example("trl_sft").main([teacher, data, "--keep_layers", "0", "2", *settings, *QUICK])
    for name in TERMS:
        values = logged(trainer, name)
        assert sum(values[-6:]) < 0.8 * sum(values[:6])
    generate = pipeline("text-generation", model=str(tmp_path / "student"))
    (answer,) = generate("b c", max_new_tokens=2, do_sample=False)
    assert answer["generated_text"].replace(" ", "") == "bcda"


def test_it_trains_as_the_distillation_trainer(tmp_path, plain):
    fresh = make_trainer(tmp_path)
    ours = DistillationTrainer(
        fresh.model,
        fresh.distiller.teacher,
        DistillationArguments(output_dir=str(tmp_path), **EXACT),
        objective=OBJECTIVE,
        train_dataset=fresh.train_dataset,
        data_collator=fresh.data_collator,
    )
    ours.train()
    assert_same_training(ours, plain)


def test_accumulation_does_not_change_the_training(tmp_path, plain):
    split = make_trainer(tmp_path, per_device_train_batch_size=2, gradient_accumulation_steps=4)
    split.train()
    assert_same_training(split, plain)


def test_sequences_in_one_row_do_not_see_each_other(tmp_path, plain):
    flat = make_trainer(tmp_path, padding_free=True, max_length=None)
    (batch, *_) = flat.get_train_dataloader()
    assert batch["input_ids"].shape[0] == 1
    assert "attention_mask" not in batch
    flat.train()
    assert_same_training(flat, plain)


def test_attention_is_taught_on_prompts_too(tmp_path):
    trainer = make_trainer(tmp_path, completions())
    (batch, *_) = trainer.get_train_dataloader()
    counts = {name: int(count) for name, count in trainer.distiller.counts([batch]).items()}
    asked = int((batch["labels"] != -100).sum())
    # A prompt has two words.
    assert counts == {"task": asked, "logits": asked, "attention": asked + 2 * 8}
    assert batch["attention_mask"].sum() == counts["attention"] < batch["input_ids"].numel()


def test_adapters_alone_are_trained(tmp_path):
    peft = pytest.importorskip("peft")
    lora = peft.LoraConfig(r=2, target_modules=["q_proj", "k_proj"], task_type="CAUSAL_LM")
    trainer = make_trainer(tmp_path, peft_config=lora)
    before = {name: weight.clone() for name, weight in trainer.model.state_dict().items()}
    trainer.train()
    changed = {
        name
        for name, weight in trainer.model.state_dict().items()
        if not torch.equal(weight, before[name])
    }
    assert len(changed) == 2 * 2 * 2
    assert all("lora_" in name for name in changed)


def test_evaluation_logs_the_terms(tmp_path, plain):
    loss = plain.evaluate(texts())["eval_loss"]
    terms = {name: logged(plain, f"eval_loss_{name}")[0] for name in OBJECTIVE.terms}
    assert min(terms.values()) > 0
    assert loss == pytest.approx(sum(terms.values()), rel=1e-4)


TWO_PROCESSES = """
import sys, torch
from examples.test_trl import TERMS, logged, make_trainer
folder, batch_size, result = sys.argv[1:]
trainer = make_trainer(folder, per_device_train_batch_size=int(batch_size))
trainer.train()
if trainer.accelerator.is_main_process:
    log = {name: logged(trainer, name) for name in TERMS}
    torch.save((trainer.model.state_dict(), log), result)
"""


@pytest.mark.slow
def test_two_processes_train_the_same_as_one(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(TWO_PROCESSES)
    tests = Path(__file__).parents[1]
    results = []
    for processes, batch_size in ((1, 8), (2, 4)):
        launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={processes}"]
        arguments = [script, tmp_path / "out", batch_size, tmp_path / f"{processes}.pt"]
        subprocess.run(
            [sys.executable, *launcher, *map(str, arguments)],
            check=True,
            capture_output=True,
            env=os.environ | {"PYTHONPATH": f"{tests}:{os.environ.get('PYTHONPATH', '')}"},
            timeout=240,
        )
        results.append(torch.load(tmp_path / f"{processes}.pt"))
    (one, log), (two, other) = results
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, two[name], rtol=0, atol=5e-6, msg=name)
    for name in TERMS:
        assert log[name] == pytest.approx(other[name], rel=1e-4)
