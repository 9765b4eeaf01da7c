"""The dense reference against textbook formulas, one row at a time over the keys it sees."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from ops.inputs import compare, make_inputs, outcome, weighted_sum
from ops.strategies import KINDS, Case, cases
from torch.nn import functional as F


def sees(mask, b, h, q, k, queries, keys) -> bool:
    """Whether a query sees a key, as the documentation of `AttentionMask` says it."""
    if mask is None:
        return True
    position = q + keys - queries
    near = position - k < (mask.window or math.inf)
    if not mask.causal:
        near = abs(position - k) <= (mask.window or math.inf)
    answers = [near, not mask.causal or k <= position]
    if mask.key_valid is not None:
        answers.append(mask.key_valid[b, k])
    if mask.query_segments is not None:
        answers.append(mask.query_segments[b, q] == mask.key_segments[b, k])
    if isinstance(mask.visible, torch.Tensor):
        heads = mask.visible.shape[1]
        answers.append(mask.visible[b % mask.visible.shape[0], h % heads, q, k])
    elif mask.visible is not None:
        answers.append(mask.visible(*(torch.tensor(i) for i in (b, h, q, k))))
    return all(bool(answer) for answer in answers)


def row_scores(relation, b, h, q, seen):
    """The scores of one query and the keys it sees."""
    group = relation.query.shape[1] // relation.key.shape[1]
    scores = relation.scale * (relation.key[b, h // group, seen] @ relation.query[b, h, q])
    if relation.softcap is not None:
        scores = relation.softcap * torch.tanh(scores / relation.softcap)
    if relation.bias is not None:
        bias = relation.bias.expand(relation.shape)
        scores = scores + bias[b, h, q, seen]
    return scores


def row_loss(kind, student, teachers):
    """One line of PyTorch for each divergence of one row of probabilities."""
    mean = sum(teachers) / len(teachers)
    middle = (student + mean) / 2
    match kind:
        case "kl":
            return F.kl_div(student.log(), mean, reduction="sum")
        case "reverse_kl":
            return F.kl_div(mean.log(), student, reduction="sum")
        case "js":
            halves = (F.kl_div(middle.log(), p, reduction="sum") for p in (student, mean))
            return sum(halves) / 2
        case "mse" | "score_mse":
            return F.mse_loss(student, mean, reduction="sum")
        case "cosine":
            return 1 - F.cosine_similarity(student, mean, dim=0)


def textbook(case, inputs):
    """Row values and counts ``[B, H, Q]``, by loops."""
    shape = inputs.student.shape
    values, counts = [], []
    sides = [inputs.student, *(teacher.detach() for teacher in inputs.teachers)]
    masks = {id(side.mask): side.mask for side in sides}.values()
    for b in range(shape.batch):
        for h in range(shape.heads):
            for q in range(shape.queries):
                seen = [
                    k
                    for k in range(shape.keys)
                    if all(sees(m, b, h, q, k, shape.queries, shape.keys) for m in masks)
                ]
                weight = 1 if inputs.rows is None else inputs.rows[b, q]
                rows = [row_scores(side, b, h, q, seen) for side in sides]
                if case.kind == "score_mse":
                    counts.append(weight * len(seen))
                else:
                    rows = [
                        torch.cat([row, side.sinks[h : h + 1]]) if case.sinks else row
                        for row, side in zip(rows, sides, strict=True)
                    ]
                    rows = [(row / case.temperature).softmax(0) for row in rows]
                    counts.append(weight * bool(seen))
                loss = row_loss(case.kind, rows[0], rows[1:]) if seen else rows[0].sum() * 0
                values.append(weight * loss)
    return torch.stack(values).view(shape[:3]), torch.tensor(counts).view(shape[:3])


def summed(rows, per):
    return {"all": rows.sum(), "head": rows.sum((0, 2)), "row": rows}[per]


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_is_the_textbook(kind):
    @given(case=cases(kind))
    @settings(max_examples=40, deadline=None, derandomize=True, database=None)
    def check(case):
        milder = {"sharp": min(case.sharp, 9.0), "sharp_teacher": min(case.sharp_teacher, 9.0)}
        case = replace(case, **milder)  # or plain probabilities underflow
        inputs = make_inputs(case).map(lambda tensor: tensor.requires_grad_())
        values, counts = textbook(case, inputs)
        total = summed(values, case.per)
        weighted_sum(total).backward()
        result = outcome(case, inputs, "reference")
        torch.testing.assert_close(result["total"], total.detach(), rtol=1e-9, atol=1e-11)
        expected = summed(counts, case.per)
        torch.testing.assert_close(result["count"].double(), expected.double())
        for name in result.keys() - {"total", "count"}:
            gradient = getattr(inputs.student, name).grad
            size = max(1.0, float(gradient.abs().max()))
            torch.testing.assert_close(result[name], gradient, rtol=1e-8, atol=1e-10 * size)

    check()


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_can_be_differentiated_twice(kind):
    case = Case(kind=kind, batch=1, heads=1, group=1, queries=2, keys=3, width=2)
    inputs = make_inputs(case)

    def total(query, key):
        moved = inputs.map(lambda t: query if t is inputs.student.query else t)
        moved = moved.map(lambda t: key if t is inputs.student.key else t)
        return compare(case, moved, "reference").total

    pair = [inputs.student.query.requires_grad_(), inputs.student.key.requires_grad_()]
    assert torch.autograd.gradgradcheck(total, pair)
