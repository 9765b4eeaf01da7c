"""The loss for a loop of one's own: the same as the trainer's, and no useless work."""

import weakref
from unittest import mock

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
from torch._dynamo.testing import CompileCounterWithBackend

from attndistill import AttentionTerm, Distiller, LogitsTerm, Objective, TaskTerm

ATTENTION = Objective({"attention": AttentionTerm()})
FULL = Objective({"task": TaskTerm(), "logits": LogitsTerm(), "attention": AttentionTerm()})


def called(model):
    """Names of the modules that a context sees called; a list that fills."""
    names = []
    for name, module in model.named_modules():
        module.register_forward_hook(lambda *_, name=name: names.append(name))
    return names


def test_a_loop_of_ones_own_trains():
    student, teacher = make_bert(2, seed=1), make_bert(4, seed=2)
    optimizer = torch.optim.Adam(student.parameters(), lr=3e-3)
    distiller = Distiller(student, teacher, objective=FULL)
    losses = []
    for step in range(25):
        loss = distiller.loss(make_batch([9, 4, 7], seed=step % 3))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(float(loss.detach()))
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])


def test_parts_of_a_step_add_up_to_it():
    student, teacher = make_bert(2, seed=1), make_bert(4, seed=2)
    distiller = Distiller(student, teacher, objective=FULL)
    whole = make_batch([9, 9, 5, 3])
    parts = [{name: value[n::2] for name, value in whole.items()} for n in range(2)]
    counts = distiller.counts(parts)
    summed = sum(float(distiller.loss(part, counts=counts).detach()) for part in parts)
    assert summed == pytest.approx(float(distiller.loss(whole).detach()), rel=1e-5)


def test_a_teachers_records_are_freed_with_their_last_comparison():
    student, teacher, batch = make_bert(2, seed=1), make_bert(4, seed=2), make_batch([9, 4, 7])
    terms = {
        "attention": AttentionTerm(layers=[[0, 1], [1, 3]]),
        "also": AttentionTerm(kind="mse", layers=[[0, 1], [1, 1]]),
    }
    distiller = Distiller(student, teacher, objective=Objective(terms))
    step, counts = distiller.step(batch), distiller.counts([batch])
    read = distiller.plan.means(step, counts)
    assert len(step.teacher_attention) == 2  # means may be read any number of times
    alive = {key: weakref.ref(record.query) for key, record in step.teacher_attention.items()}
    seen = []
    compare = AttentionTerm.relation_pairs

    def watched(term, ours, theirs):
        seen.append({key for key, query in alive.items() if query() is not None})
        return compare(term, ours, theirs)

    with mock.patch.object(AttentionTerm, "relation_pairs", watched):
        loss, means = Distiller(student, teacher, objective=Objective(terms)).plan.loss(
            step, counts
        )
    assert not step.teacher_attention
    # "attention" compares layers 1 and 3, "also" layer 1 twice: 3 is freed after its only reading.
    assert [{layer for _, layer in each} for each in seen] == [{1, 3}, {1, 3}, {1}, {1}]
    assert {name: float(value) for name, value in means.items()} == {
        name: float(value.detach()) for name, value in read.items()
    }


def test_a_term_of_ones_own_may_read_any_record_wherever_it_stands():
    class Own:
        weight = 1.0
        needs_teacher = True

        def count(self, batch):
            return torch.tensor(1)

        def total(self, step):
            queries = [record.query for record in step.teacher_attention.values()]
            return step.student.logits.sum() * sum(query.sum() for query in queries)

    for names in (("attention", "own"), ("own", "attention")):
        kinds = {"attention": AttentionTerm(), "own": Own()}
        objective = Objective({name: kinds[name] for name in names})
        distiller = Distiller(make_bert(2, seed=1), make_bert(4, seed=2), objective=objective)
        distiller.loss(make_batch([9, 4, 7])).backward()


def test_the_terms_of_a_loss_are_told_with_it():
    weights = {"task": 0.5, "logits": 2.0, "attention": 3.0}
    kinds = {"task": TaskTerm, "logits": LogitsTerm, "attention": AttentionTerm}
    objective = Objective({name: kinds[name](weight=weight) for name, weight in weights.items()})
    distiller = Distiller(make_bert(2, seed=1), make_bert(4, seed=2), objective=objective)
    batch = make_batch([9, 4, 7])
    loss, terms = distiller.loss_and_terms(batch)
    assert float(loss) == float(distiller.loss(batch))
    assert float(loss) == pytest.approx(sum(weights[n] * float(v) for n, v in terms.items()))
    assert not any(value.requires_grad for value in terms.values())
    readings = distiller.read_terms(batch)
    assert {n: float(v) for n, v in terms.items()} == pytest.approx(
        {name: reading.value for name, reading in readings.items()}
    )


def test_the_teacher_stops_after_the_last_layer_that_teaches():
    student, teacher = make_bert(2, seed=1), make_bert(4, seed=2)
    batch = make_batch([9, 4])
    objective = Objective({"attention": AttentionTerm(layers=[[0, 0], [1, 2]])})
    names = called(teacher)
    Distiller(student, teacher, objective=objective).loss(batch)
    assert "bert.encoder.layer.1" in names
    assert "bert.encoder.layer.2.attention.self.key" in names
    assert "bert.encoder.layer.2.attention.self" not in names
    assert not any(name.startswith(("bert.encoder.layer.3", "classifier")) for name in names)
    Distiller(student, teacher, objective=Objective({**objective.terms, "l": LogitsTerm()})).loss(
        batch
    )
    assert "classifier" in names


@pytest.mark.parametrize("term", [AttentionTerm(stack="encoder"), AttentionTerm(cross=True)])
def test_stopping_early_changes_no_value(term, monkeypatch):
    student, teacher = make_seq2seq("bart", 2, seed=1), make_seq2seq("bart", 4, seed=2)
    batch = make_seq2seq_batch([9, 4], [5, 8])
    objective = Objective({"attention": term})
    names = called(teacher)
    early = Distiller(student, teacher, objective=objective).read_terms(batch)
    assert "lm_head" not in names
    assert term.cross or not any("decoder" in name for name in names)
    monkeypatch.setattr("attndistill.training.distiller.can_stop", lambda model: False)
    assert Distiller(student, teacher, objective=objective).read_terms(batch) == early


def test_a_teacher_is_whole_again_after_an_early_stop():
    student, teacher = make_bert(2, seed=1), make_bert(4, seed=2).train()
    batch = make_batch([9, 4])
    Distiller(student, teacher, objective=ATTENTION).loss(batch)
    assert teacher.training
    assert teacher(**batch).logits.requires_grad
    assert not teacher._forward_hooks
    assert not teacher._forward_pre_hooks


@pytest.mark.parametrize(
    ("make", "make_inputs", "objective", "backend"),
    [
        (make_bert, make_batch, FULL, "eager"),
        (make_llama, make_text_batch, FULL, "aot_eager"),
    ],
)
def test_compiled_models_give_the_same(make, make_inputs, objective, backend):
    torch._dynamo.reset()
    student, teacher = make(1, seed=1), make(2, seed=2)
    plain = Distiller(student, teacher, objective=objective)
    counters = [CompileCounterWithBackend(backend) for _ in range(2)]
    compiled = [
        torch.compile(model, backend=counter, fullgraph=True)
        for model, counter in zip((student, teacher), counters, strict=True)
    ]
    ours = Distiller(*compiled, objective=objective)
    weights = list(student.parameters())
    for seed, lengths in enumerate(([9, 4], [9, 6], [7, 11], [9, 4])):
        batch = make_inputs(lengths, seed=seed)
        expected, loss = plain.loss(batch), ours.loss(batch)
        torch.testing.assert_close(loss, expected)
        wanted = torch.autograd.grad(expected, weights, allow_unused=True)
        given = torch.autograd.grad(loss, weights, allow_unused=True)
        for mine, other in zip(given, wanted, strict=True):
            if other is None:  # a compiled graph gives zeros instead
                assert mine is None or not mine.any()
            else:
                torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)
    # Once for the first lengths, once for any.
    assert [counter.frame_count for counter in counters] == [2, 2]
