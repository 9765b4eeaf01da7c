from dataclasses import dataclass

import pytest
import torch
from tiny import make_batch, make_bert

from attndistill import AttentionTerm, Distiller, LogitsTerm, Objective, RelationTerm, TaskTerm
from attndistill.errors import InputError, ObjectiveError


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Objective({}), "no terms"),
        (lambda: TaskTerm(weight=0), "above 0"),
        (lambda: TaskTerm(weight=float("nan")), "above 0"),
        (lambda: LogitsTerm(temperature=-1.0), "temperature"),
        (
            lambda: AttentionTerm(kind="kll"),
            "kind is 'kll'; did you mean 'kl'.; choose kl, .*mse",
        ),
        (
            lambda: AttentionTerm(heads="mean"),
            "heads is 'mean'; choose identity, average, relation",
        ),
        (lambda: AttentionTerm(kind=None), "kind is None; choose kl"),
        (lambda: AttentionTerm(relation_heads=4), "belongs to heads: relation"),
        (lambda: RelationTerm(relation_heads=0), "whole number from 1"),
        (lambda: RelationTerm(relations=("query", "keys")), "some of query, key, value"),
        (lambda: RelationTerm(relations=()), "some of query, key, value"),
        (lambda: AttentionTerm(kind="score_mse", temperature=2.0), "no temperature"),
    ],
)
def test_wrong_terms_are_refused(build, message):
    with pytest.raises(InputError, match=message):
        build()


def test_counts_are_known_before_the_forward():
    batch = make_batch([5, 3], pad_to=9)
    batch["labels"] = torch.tensor([1, -100])
    terms = {
        "task": TaskTerm(),
        "logits": LogitsTerm(),
        "attention": AttentionTerm(),
        "scores": AttentionTerm(kind="score_mse"),
    }
    plan = Objective(terms).fitted(make_bert(1), make_bert(2))
    counts = {"task": 1, "logits": 2, "attention": 8, "scores": 25 + 9}
    assert plan.counts(batch) == counts


def test_examples_without_a_label_cost_nothing():
    student = make_bert(1)
    batch = make_batch([5, 3])
    distiller = Distiller(student, None, objective=Objective({"task": TaskTerm()}))
    labelled = distiller.loss(batch, counts=distiller.counts([batch]))
    unlabelled = {**batch, "labels": torch.full_like(batch["labels"], -100)}
    counts = distiller.counts([batch, unlabelled])
    loss = distiller.loss(unlabelled, counts=counts)
    loss.backward()
    assert float(loss) == 0.0
    assert all(float(p.grad.abs().sum()) == 0.0 for p in student.parameters() if p.grad is not None)
    assert float(distiller.loss(batch, counts=counts)) == float(labelled)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda zero: zero + float("inf"), "'mine' is inf before the first update"),
        # The slope of the root has no bound at 0.
        (lambda zero: zero.sqrt(), "the gradient of .*'mine' is (nan|inf)"),
    ],
)
def test_what_is_not_finite_before_the_first_update_is_named(value, message):
    @dataclass(frozen=True)
    class Steep:
        weight = 1.0
        needs_teacher = False

        def fitted(self, student, teacher, layer_map):
            return self

        def count(self, batch):
            return torch.tensor(1)

        def total(self, step):
            return value(step.student.logits.sum() * 0.0)

    distiller = Distiller(make_bert(1), None, objective=Objective({"mine": Steep()}))
    with pytest.raises(ObjectiveError, match=message):
        distiller.read_terms(make_batch([5]))


def test_the_task_term_needs_labels():
    batch = make_batch([5])
    del batch["labels"]
    with pytest.raises(InputError, match="needs labels"):
        TaskTerm().fitted(make_bert(1), None, "uniform").count(batch)


@pytest.mark.parametrize("kind", [AttentionTerm, LogitsTerm, TaskTerm])
def test_an_override_that_nothing_would_call_is_refused(kind):
    own = type("Own", (kind,), {"total": lambda self, step: None})
    with pytest.raises(InputError, match="'mine': Own defines total, but its fitted"):
        Objective({"mine": own()}).fitted(make_bert(1), make_bert(2))


def test_a_steps_loss_is_taken_once():
    terms = {"attention": AttentionTerm()}
    distiller = Distiller(make_bert(1), make_bert(2), objective=Objective(terms))
    batch = make_batch([5, 3])
    step, counts = distiller.step(batch), distiller.counts([batch])
    distiller.plan.loss(step, counts)
    with pytest.raises(RuntimeError, match="run the models again"):
        distiller.plan.loss(step, counts)


def test_a_distiller_takes_an_objective_only():
    plan = Objective({"task": TaskTerm()}).fitted(make_bert(1), None)
    for objective in (plan, {"task": TaskTerm()}):
        with pytest.raises(InputError, match="must be an Objective of named terms, not"):
            Distiller(make_bert(1), objective=objective)
