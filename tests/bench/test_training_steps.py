import pytest
import torch

from attndistill.bench.cases import Case
from attndistill.bench.training_steps import (
    CONTENDERS,
    LENGTHS,
    STUDENT_LAYERS,
    TOKENS,
    entries,
    make_model,
    make_objective,
    step_run,
    textbook_loss,
    trainer_loss,
)

CASE = Case(kind="kl", batch=3, heads=3, length=11, head_dim=8)


@pytest.fixture(autouse=True)
def few_words(monkeypatch):
    monkeypatch.setattr("attndistill.bench.training_steps.VOCABULARY", 97)


def loss_and_gradients(attention, make_loss):
    student = make_model(CASE, STUDENT_LAYERS, attention, seed=1)
    loss = make_loss(student)()
    loss.backward()
    return loss.detach(), [p.grad for p in student.parameters()]


def test_the_textbook_trains_on_the_same_loss():
    def ours(student):
        return trainer_loss(CASE, student, make_objective(attention=True))

    loss, gradients = loss_and_gradients("sdpa", ours)
    textbook, expected = loss_and_gradients("eager", lambda s: textbook_loss(CASE, s))
    torch.testing.assert_close(loss, textbook)
    torch.testing.assert_close(gradients, expected, rtol=1e-3, atol=1e-6)


def test_attention_adds_to_the_loss_and_its_gradient():
    def with_terms(attention):
        def make(student):
            return trainer_loss(CASE, student, make_objective(attention=attention))

        return make

    alone, gradients = loss_and_gradients("sdpa", with_terms(False))
    both, more = loss_and_gradients("sdpa", with_terms(True))
    assert both > alone
    assert max((a - b).abs().max() for a, b in zip(gradients, more, strict=True)) > 1e-6


@pytest.mark.parametrize("name", CONTENDERS)
def test_steps_train(name):
    run = step_run(CASE, name)
    losses = [float(run()[0]) for _ in range(3)]
    assert losses[-1] < losses[0]


def test_every_case_of_a_run_has_as_many_tokens():
    found = entries("cpu", quick=False, only=(), say=lambda _: None)
    assert {entry.case.batch * entry.case.length for entry in found} == {TOKENS}
    assert [entry.case.length for entry in found] == list(LENGTHS)
    only = entries("cpu", quick=True, only=["attention"], say=lambda _: None)
    assert [list(entry.setups) for entry in only] == [["attention"]] * 2
