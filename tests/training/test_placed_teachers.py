"""Teachers whose weights are elsewhere or of another kind teach what they would teach in memory."""

import copy

import pytest
import torch
from accelerate import cpu_offload, disk_offload
from datasets import Dataset
from tiny import (
    make_batch,
    make_bert,
    make_llama,
    make_seq2seq,
    make_seq2seq_batch,
    make_text_batch,
)
from transformers import BitsAndBytesConfig, LlamaForCausalLM

from attndistill import (
    AttentionTerm,
    DistillationArguments,
    DistillationTrainer,
    Distiller,
    LogitsTerm,
    Objective,
    RelationTerm,
    TaskTerm,
    build_student,
)
from attndistill.capture import capture
from attndistill.errors import InputError

ATTENTION = Objective({"attention": AttentionTerm()})
FULL = Objective({"task": TaskTerm(), "logits": LogitsTerm(), "attention": AttentionTerm()})
SEQ2SEQ = Objective(
    {
        "logits": LogitsTerm(),
        "encoder": AttentionTerm(stack="encoder"),
        "decoder": AttentionTerm(stack="decoder"),
        "cross": AttentionTerm(cross=True),
    }
)
CASES = {
    "bert": (make_bert, make_batch([9, 4, 7]), FULL),
    # Its teacher stops before its last layers.
    "bert, attention alone": (make_bert, make_batch([9, 4, 7]), ATTENTION),
    "llama": (make_llama, make_text_batch([9, 4, 7]), FULL),
    "bart": (
        lambda layers, seed: make_seq2seq("bart", layers, seed),
        make_seq2seq_batch([9, 4], [5, 8]),
        SEQ2SEQ,
    ),
}


def offloaded(teacher, kind, folder):
    """A copy of the teacher whose weights come into memory layer by layer."""
    teacher = copy.deepcopy(teacher)
    if kind == "cpu":
        return cpu_offload(teacher, execution_device="cpu")
    return disk_offload(teacher, folder, execution_device="cpu")


def on_meta(model):
    return [name for name, weight in model.named_parameters() if weight.device.type == "meta"]


def loss_and_gradients(student, teacher, batch, objective):
    loss = Distiller(student, teacher, objective=objective).loss(batch)
    weights = [weight for weight in student.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(loss, weights, allow_unused=True)
    return loss.detach(), gradients


def assert_teaches_as(placed, plain, student, batch, objective):
    loss, gradients = loss_and_gradients(student, placed, batch, objective)
    expected, wanted = loss_and_gradients(student, plain, batch, objective)
    assert loss == expected > 0
    assert any(gradient is not None and gradient.any() for gradient in gradients)
    for ours, theirs in zip(gradients, wanted, strict=True):
        assert (ours is None) == (theirs is None)
        assert ours is None or torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("case", "kind"),
    [*((case, "cpu") for case in CASES), ("llama", "disk"), ("bert, attention alone", "disk")],
)
def test_an_offloaded_teacher_teaches_the_same(tmp_path, case, kind):
    make, batch, objective = CASES[case]
    student, plain = make(2, seed=1), make(4, seed=2)
    placed = offloaded(plain, kind, tmp_path)
    names = on_meta(placed)
    assert len(names) == len(list(placed.parameters()))
    assert_teaches_as(placed, plain, student, batch, objective)
    assert on_meta(placed) == names


def test_a_device_map_of_from_pretrained_teaches_the_same(tmp_path):
    plain = make_llama(4, seed=2)
    plain.save_pretrained(tmp_path / "teacher")
    there = {"model.embed_tokens": "cpu", "model.layers.0": "cpu", "model.layers.1": "cpu"}
    elsewhere = ("model.layers.2", "model.layers.3", "model.norm", "model.rotary_emb", "lm_head")
    placed = LlamaForCausalLM.from_pretrained(
        tmp_path / "teacher",
        device_map={**there, **dict.fromkeys(elsewhere, "disk")},
        offload_folder=tmp_path / "offloaded",
    )
    assert 0 < len(on_meta(placed)) < len(list(placed.parameters()))
    batch = make_text_batch([9, 4, 7])
    assert_teaches_as(placed, plain, make_llama(2, seed=1), batch, FULL)
    with torch.no_grad(), capture(plain) as wanted, capture(placed) as records:
        plain(**batch)
        placed(**batch)
    assert len(records) == 4
    for ours, theirs in zip(records, wanted, strict=True):
        assert torch.equal(ours.attention_probs(), theirs.attention_probs())


def trained(folder, teacher):
    """A student after two steps of the trainer, and what the trainer logged."""
    student, batch = make_llama(2, seed=1), make_text_batch([9, 4, 7, 5])
    arguments = {"per_device_train_batch_size": 2, "max_steps": 2, "logging_steps": 1}
    arguments |= {"save_strategy": "no", "use_cpu": True}
    trainer = DistillationTrainer(
        student,
        teacher,
        DistillationArguments(output_dir=str(folder), **arguments),
        objective=FULL,
        train_dataset=Dataset.from_list(
            [{name: column[row].tolist() for name, column in batch.items()} for row in range(4)]
        ),
    )
    trainer.train()
    return student.state_dict(), trainer.state.log_history


def test_the_trainer_leaves_an_offloaded_teacher_where_it_is(tmp_path):
    plain = make_llama(3, seed=2)
    expected, _ = trained(tmp_path / "plain", plain)
    placed = offloaded(plain, "cpu", tmp_path)
    weights, history = trained(tmp_path / "placed", placed)
    assert len(on_meta(placed)) == len(list(placed.parameters()))
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())
    assert history[0]["loss_attention"] > 0


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
@pytest.mark.parametrize(
    ("term", "kind"),
    [(AttentionTerm, "kl"), (AttentionTerm, "score_mse"), (RelationTerm, "mse")],
)
def test_a_half_precision_teacher_teaches_a_float32_student(term, kind, dtype):
    student, rounded = make_bert(2, seed=1), make_bert(3, seed=2).to(dtype)
    exact = copy.deepcopy(rounded).float()
    objective = Objective({"attention": term(kind=kind)})
    batch = make_batch([9, 4, 7])
    loss, gradients = loss_and_gradients(student, rounded, batch, objective)
    expected, wanted = loss_and_gradients(student, exact, batch, objective)
    assert loss.dtype == torch.float32
    assert {gradient.dtype for gradient in gradients if gradient is not None} == {torch.float32}
    # The same weights: each of three layers rounds its outputs by half an eps.
    error = 1.5 * torch.finfo(dtype).eps
    assert loss == pytest.approx(float(expected), rel=error)
    ours, theirs = (
        torch.cat([g.flatten() for g in side if g is not None]) for side in (gradients, wanted)
    )
    assert (ours - theirs).norm() <= error * theirs.norm()
    assert {weight.dtype for weight in rounded.parameters()} == {dtype}


def test_the_trainer_takes_a_bf16_teacher_as_it_is(tmp_path):
    teacher = make_llama(3, seed=2).bfloat16()
    before = {name: weight.clone() for name, weight in teacher.state_dict().items()}
    weights, history = trained(tmp_path, teacher)
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    assert history[0]["loss_attention"] > 0
    assert all(torch.equal(weight, before[name]) for name, weight in teacher.state_dict().items())


def test_a_teacher_on_the_students_device_is_neither_moved_nor_cast(tmp_path, monkeypatch):
    teacher = make_llama(3, seed=2)
    expected, _ = trained(tmp_path / "plain", teacher)

    def refuse(*args, **kwargs):
        raise AssertionError("quantized weights cannot be moved or cast")

    # What .to(), .float() and .half() are made of.
    monkeypatch.setattr(teacher, "_apply", refuse)
    for name in ("to", "float", "half", "bfloat16"):
        monkeypatch.setattr(teacher, name, refuse)
    weights, _ = trained(tmp_path / "fixed", teacher)
    assert all(torch.equal(weights[name], tensor) for name, tensor in expected.items())


def assert_builds_a_plain_student(teacher, folder):
    student = build_student(teacher, config={"num_hidden_layers": 1})
    assert not hasattr(student.config, "quantization_config")
    student.save_pretrained(folder)
    loaded = LlamaForCausalLM.from_pretrained(folder)
    assert not getattr(loaded, "is_quantized", False)
    weights = student.state_dict()
    assert all(torch.equal(weights[n], tensor) for n, tensor in loaded.state_dict().items())
    with pytest.raises(InputError, match="are quantized: load the model once more without"):
        build_student(teacher, keep_layers=[0])


def test_a_student_of_a_quantized_teacher_is_a_plain_one(tmp_path):
    teacher = make_llama(2)
    teacher.is_quantized = True
    teacher.config.quantization_config = BitsAndBytesConfig(load_in_8bit=True)
    assert_builds_a_plain_student(teacher, tmp_path)
    assert teacher.config.quantization_config.load_in_8bit


def test_layers_of_an_offloaded_teacher_are_not_copied():
    with pytest.raises(InputError, match="are offloaded: load the model once more without device"):
        build_student(cpu_offload(make_llama(2), execution_device="cpu"), keep_layers=[0])


@pytest.mark.parametrize("bits", [4, 8])
def test_a_quantized_teacher_teaches(tmp_path, bits):
    pytest.importorskip("bitsandbytes", reason="quantized weights need bitsandbytes")
    plain = make_llama(3, seed=2, hidden_size=32, head_dim=8)
    plain.save_pretrained(tmp_path / "teacher")
    teacher = LlamaForCausalLM.from_pretrained(
        tmp_path / "teacher", quantization_config=BitsAndBytesConfig(**{f"load_in_{bits}bit": True})
    )
    assert teacher.is_quantized
    weights, history = trained(tmp_path / "quantized", teacher)
    _, expected = trained(tmp_path / "plain", plain)
    assert {weight.dtype for weight in weights.values()} == {torch.float32}
    for name in ("loss_logits", "loss_attention"):
        assert history[0][name] == pytest.approx(expected[0][name], rel=0.25)
        assert history[0][name] != expected[0][name]
    assert_builds_a_plain_student(teacher, tmp_path / "student")
