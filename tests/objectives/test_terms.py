import pytest
import torch
from tiny import make_batch

from attndistill import AttentionTerm, LogitsTerm, Objective, RelationTerm, TaskTerm
from attndistill.errors import InputError


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Objective({}), "no terms"),
        (lambda: TaskTerm(weight=0), "above 0"),
        (lambda: TaskTerm(weight=float("nan")), "above 0"),
        (lambda: LogitsTerm(temperature=-1.0), "temperature"),
        (lambda: AttentionTerm(kind="kll"), "choose kl, reverse_kl, js, mse, cosine, score_mse"),
        (lambda: AttentionTerm(heads="mean"), "choose identity, average, relation"),
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
    assert TaskTerm().count(batch) == 1
    assert LogitsTerm().count(batch) == 2
    assert AttentionTerm().count(batch) == 8
    assert AttentionTerm(kind="score_mse").count(batch) == 25 + 9


def test_the_task_term_needs_labels():
    batch = make_batch([5])
    del batch["labels"]
    with pytest.raises(InputError, match="needs labels"):
        TaskTerm().count(batch)
