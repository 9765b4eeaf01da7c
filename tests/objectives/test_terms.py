import pytest
import torch
from tiny import make_batch, make_bert

from attndistill import AttentionTerm, LogitsTerm, Objective, RelationTerm, TaskTerm
from attndistill.errors import InputError


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Objective({}), "no terms"),
        (lambda: TaskTerm(weight=0), "above 0"),
        (lambda: TaskTerm(weight=float("nan")), "above 0"),
        (lambda: LogitsTerm(temperature=-1.0), "temperature"),
        (lambda: AttentionTerm(kind="kll"), r"kind must be one of 'kl', .*'score_mse'; got 'kll'"),
        (
            lambda: AttentionTerm(heads="mean"),
            "heads must be one of 'identity', 'average'",
        ),
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


def test_the_task_term_needs_labels():
    batch = make_batch([5])
    del batch["labels"]
    with pytest.raises(InputError, match="needs labels"):
        TaskTerm().fitted(make_bert(1), None, "uniform").count(batch)
