"""Students made of adapters: the teacher that they hold, and what cannot be compared."""

import pytest
import torch
from tiny import (
    make_batch,
    make_bert,
    make_llama,
    make_seq2seq,
    make_seq2seq_batch,
    make_text_batch,
)

from attndistill import (
    AttentionTerm,
    DistillationArguments,
    DistillationTrainer,
    Distiller,
    LogitsTerm,
    Objective,
)
from attndistill.capture import capture
from attndistill.errors import InputError
from attndistill.ops import AttentionMask

peft = pytest.importorskip("peft")

BATCH = make_batch([9, 4, 7])
OBJECTIVE = Objective({"logits": LogitsTerm(), "attention": AttentionTerm()})


def adapted(seed=1):
    """A BERT with low-rank adapters that change what it computes."""
    config = peft.LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["query", "key"])
    model = peft.get_peft_model(make_bert(2, seed=seed), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.5)
    return model


def gradients(distiller, student):
    loss = distiller.loss(BATCH)
    loss.backward()
    found = {n: p.grad.clone() for n, p in student.named_parameters() if p.grad is not None}
    student.zero_grad()
    return float(loss.detach()), found


def test_a_student_of_adapters_learns_from_its_own_weights():
    student = adapted()
    trained = [p.requires_grad for p in student.parameters()]
    alone, own = gradients(Distiller(student, objective=OBJECTIVE), student)
    same = make_bert(2, seed=1)
    beside, expected = gradients(Distiller(student, same, objective=OBJECTIVE), student)
    assert alone == pytest.approx(beside, rel=1e-5)
    assert alone > 1e-3
    assert own.keys() == expected.keys()
    for name, gradient in own.items():
        torch.testing.assert_close(gradient, expected[name])
    assert sum("lora_" in name and own[name].norm() > 0 for name in own) == 8
    assert [p.requires_grad for p in student.parameters()] == trained


SEQ2SEQ = Objective(
    {
        "encoder": AttentionTerm(stack="encoder"),
        "decoder": AttentionTerm(stack="decoder"),
        "cross": AttentionTerm(cross=True),
    }
)
FAMILIES = {
    # model, batch, what its queries and keys are projected by, its attention layers
    "bert": (make_bert, make_batch([9, 4, 7]), ["query", "key"], 2),
    "llama": (make_llama, make_text_batch([9, 4, 7]), ["q_proj", "k_proj"], 2),
    "bart": (
        lambda layers, seed: make_seq2seq("bart", layers, seed),
        make_seq2seq_batch([9, 4], [5, 8]),
        ["q_proj", "k_proj"],
        5,
    ),
}


@pytest.mark.parametrize("dora", [False, True], ids=["lora", "dora"])
@pytest.mark.parametrize("family", FAMILIES)
def test_attention_alone_reaches_every_adapter(family, dora):
    make, batch, targets, layers = FAMILIES[family]
    config = peft.LoraConfig(r=2, target_modules=targets, use_dora=dora)
    student, teacher = peft.get_peft_model(make(2, seed=1), config), make(4, seed=2)
    objective = SEQ2SEQ if family == "bart" else Objective({"attention": AttentionTerm()})
    distiller = Distiller(student, teacher, objective=objective)
    optimizer = torch.optim.Adam([p for p in student.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(12):
        optimizer.zero_grad()
        loss = distiller.loss(batch)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    adapters = {name: p.grad for name, p in student.named_parameters() if p.grad is not None}
    # A and B of each projection, and DoRA's magnitudes.
    assert len(adapters) == 2 * layers * (3 if dora else 2)
    assert all("lora_" in name and gradient.any() for name, gradient in adapters.items())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize(
    "config",
    [
        peft.PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3),
        peft.PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3),
        peft.PromptEncoderConfig(task_type="SEQ_CLS", num_virtual_tokens=3),
    ],
    ids=["prefix tuning", "prompt tuning", "p-tuning"],
)
def test_virtual_tokens_are_refused_with_the_reason(tmp_path, config):
    student = peft.get_peft_model(make_bert(2), config)
    with pytest.raises(InputError, match="virtual tokens.*LoRA"):
        Distiller(student, make_bert(2), objective=OBJECTIVE)
    arguments = DistillationArguments(output_dir=str(tmp_path), use_cpu=True)
    with pytest.raises(InputError, match="virtual tokens.*LoRA"):
        DistillationTrainer(
            make_bert(2), make_bert(2), arguments, objective=OBJECTIVE, peft_config=config
        )


def test_without_adapters_a_teacher_is_asked_for():
    with pytest.raises(InputError, match="give teacher_model"):
        Distiller(make_bert(2), objective=OBJECTIVE)


def test_a_record_moves_with_its_mask():
    model = make_bert(2)
    with capture(model) as records:
        model(**BATCH)
    moved = records[0].to(torch.device("meta"))
    assert isinstance(moved.mask, AttentionMask)
    assert {moved.query.device.type, moved.key.device.type} == {"meta"}
    assert moved.mask.key_valid.device.type == "meta"
    assert moved.scale == records[0].scale
    assert records[0].to(torch.device("cpu")) is records[0]
