"""Laws of the values: where they vanish, what bounds them, how they add up and scale."""

import math
from dataclasses import replace

import pytest
import torch
from ops.inputs import Inputs, compare, make_inputs, outcome
from ops.laws import EVERY_KIND, IMPL, assert_same, law
from ops.strategies import KINDS, Case

from attndistill.ops import LossSum, Relation, attention_divergence, score_mse


@EVERY_KIND
def test_zero_where_student_and_teacher_are_equal(kind):
    @law(kind, per="row")
    def check(case, inputs):
        same = replace(inputs, teachers=[inputs.student] * case.teachers)
        result = outcome(replace(case, teacher_mask=None), same, IMPL)
        size = float(inputs.student.query.abs().max() * inputs.student.key.abs().max()) ** 2
        for name in result.keys() - {"count"}:
            assert result[name].abs().max() < 1e-14 * max(1.0, size)


@EVERY_KIND
def test_rows_are_bounded(kind):
    bounds = {"js": math.log(2), "mse": 2.0, "cosine": 1.0}

    @law(kind, per="row", rows=None, dtype=torch.float32, teacher_dtype=torch.float32)
    def check(case, inputs):
        total = compare(case, inputs, IMPL).total
        assert (total >= 0).all()
        assert (total <= bounds.get(kind, math.inf) + 1e-6).all()


@EVERY_KIND
def test_totals_by_row_head_and_all_agree(kind):
    @law(kind)
    def check(case, inputs):
        whole, head, row = (compare(case, inputs, IMPL, per=per) for per in ("all", "head", "row"))
        for name in ("total", "count"):
            rows = getattr(row, name)
            torch.testing.assert_close(getattr(head, name), rows.sum((0, 2)))
            torch.testing.assert_close(getattr(whole, name), rows.sum())


@EVERY_KIND
def test_rows_weigh_their_values(kind):
    @law(kind, per="row", rows="float")
    def check(case, inputs):
        weighted = compare(case, inputs, IMPL)
        plain = compare(case, replace(inputs, rows=None), IMPL)
        weights = inputs.rows[:, None].double()
        torch.testing.assert_close(weighted.total, plain.total * weights)
        torch.testing.assert_close(weighted.count, plain.count * weights)


@EVERY_KIND
def test_several_equal_teachers_are_one(kind):
    @law(kind, teachers=1)
    def check(case, inputs):
        thrice = replace(inputs, teachers=inputs.teachers * 3)
        assert_same(outcome(case, thrice, IMPL), outcome(case, inputs, IMPL))


@EVERY_KIND
def test_sides_may_be_exchanged(kind):
    other = {"kl": "reverse_kl", "reverse_kl": "kl"}.get(kind, kind)

    @law(kind, teachers=1, per="row")
    def check(case, inputs):
        exchanged = Inputs(inputs.teachers[0], [inputs.student], inputs.rows)
        result = compare(replace(case, kind=other), exchanged, IMPL).total
        torch.testing.assert_close(result, compare(case, inputs, IMPL).total, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS[:-1])
def test_the_temperature_divides_all_scores(kind):
    @law(kind, softcap=None)
    def check(case, inputs):
        def cool(relation):
            extras = {"bias": relation.bias, "sinks": relation.sinks}
            extras = {n: t / case.temperature for n, t in extras.items() if t is not None}
            return replace(relation, scale=relation.scale / case.temperature, **extras)

        cooled = Inputs(cool(inputs.student), [cool(t) for t in inputs.teachers], inputs.rows)
        expected = compare(replace(case, temperature=1.0), cooled, IMPL)
        result = compare(case, inputs, IMPL)
        torch.testing.assert_close(result.total, expected.total, rtol=1e-7, atol=1e-10)


def test_values_keep_their_digits_near_convergence():
    """A gap's rounding is relative to the gap, not to the value, which is its square."""
    for kind in KINDS:
        case = Case(kind=kind, queries=33, keys=57, gap=1e-4, teacher_width=9)
        case = replace(case, dtype=torch.float32, teacher_dtype=torch.float32)
        inputs = make_inputs(case)
        exact = compare(case, inputs.map(torch.Tensor.double), "reference").total
        total = compare(case, inputs, IMPL).total
        assert float(total) == pytest.approx(float(exact), rel=16 * 2**-23 / case.gap)


@EVERY_KIND
def test_no_row_is_below_zero_however_close(kind):
    for gap in (1e-7, 1e-5, 1e-3):
        case = Case(kind=kind, queries=33, keys=57, gap=gap, per="row")
        case = replace(case, dtype=torch.float32, teacher_dtype=torch.float32)
        assert (compare(case, make_inputs(case), IMPL).total >= 0).all()


def test_sums_add_and_their_mean_keeps_its_graph():
    total = torch.tensor([6.0, 0.0], requires_grad=True)
    loss = LossSum(total, torch.tensor([2, 0]))
    assert loss.mean().tolist() == [3.0, 0.0]
    loss.mean().sum().backward()
    assert total.grad.tolist() == [0.5, 1.0]
    assert (loss + loss).mean().tolist() == [3.0, 0.0]
    with pytest.raises(ValueError, match="same per="):
        loss + LossSum(total.sum(), torch.tensor(2))


def test_sums_are_float32_or_wider_and_counts_integer_or_weights():
    for dtype, wanted in ((torch.bfloat16, torch.float32), (torch.float64, torch.float64)):
        query, key = torch.randn(2, 1, 2, 3, 4).to(dtype)
        relation = Relation(query, key, 0.5)
        for loss in (attention_divergence(relation, relation), score_mse(relation, relation)):
            assert loss.total.dtype == wanted
            assert loss.count.dtype == torch.int64
        weighted = score_mse(relation, relation, rows=torch.ones(1, 3, dtype=torch.float16))
        assert weighted.count.dtype == wanted
        assert float(weighted.count) == 18
