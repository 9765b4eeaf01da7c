"""Students made of adapters: the teacher that they hold, and what cannot be compared."""

import pytest
import torch
from tiny import make_batch, make_bert

from attndistill import AttentionTerm, Distiller, LogitsTerm, Objective
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


def test_virtual_tokens_are_refused_with_the_reason():
    config = peft.PrefixTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=3)
    student = peft.get_peft_model(make_bert(2), config)
    with pytest.raises(InputError, match="virtual tokens"):
        Distiller(student, make_bert(2), objective=OBJECTIVE)


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
