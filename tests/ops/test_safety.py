"""The engine inside what a training step wraps around it."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from ops.budgets import allowed_errors, exact_outcome, largest
from ops.inputs import Inputs, change_parts, compare, make_inputs, outcome, parts_of, weighted_sum
from ops.laws import EVERY_KIND, IMPL, assert_same
from ops.strategies import Case
from torch.utils.checkpoint import checkpoint

FULL = {"bias": (False, True), "softcap": 2.0, "sinks": True, "mask": frozenset({"causal"})}
PER = pytest.mark.parametrize("per", ["all", "head", "row"])


def learning(case):
    """Inputs whose student needs gradients, and the tensors that get them."""
    inputs = make_inputs(case)
    student = change_parts(inputs.student, lambda t: t.clone().requires_grad_())
    leaves = parts_of(student)
    if case.kind == "score_mse":
        leaves.pop("sinks", None)
    return replace(inputs, student=student), leaves


def gradients(total, leaves):
    return dict(zip(leaves, torch.autograd.grad(weighted_sum(total), leaves.values()), strict=True))


@EVERY_KIND
@PER
@pytest.mark.parametrize("extras", [{}, FULL], ids=["plain", "full"])
def test_uninitialised_memory_is_never_read(kind, per, extras, monkeypatch):
    case = Case(kind=kind, per=per, rows="bool", **extras)
    inputs = make_inputs(case)
    expected = outcome(case, inputs, IMPL)

    def poisoned(make):
        def empty(*args, **kwargs):
            made = make(*args, **kwargs)
            return made.fill_(torch.nan) if made.is_floating_point() else made.fill_(1)

        return empty

    for place, name in ((torch, "empty"), (torch, "empty_like"), (torch.Tensor, "new_empty")):
        monkeypatch.setattr(place, name, poisoned(getattr(place, name)))
    assert torch.empty(2).isnan().all()
    assert_same(outcome(case, inputs, IMPL), expected)


@EVERY_KIND
@PER
def test_nothing_of_size_queries_by_keys_is_kept(kind, per):
    case = Case(kind=kind, per=per, queries=128, keys=128, mask=frozenset({"causal"}))
    inputs, leaves = learning(case)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        total = compare(case, inputs, IMPL).total
    gradients(total, leaves)
    assert saved
    assert max(tensor.numel() for tensor in saved) <= inputs.student.query.numel()


@EVERY_KIND
@PER
def test_checkpointing_changes_nothing(kind, per):
    case = Case(kind=kind, per=per, **FULL)
    inputs, leaves = learning(case)

    def total(*tensors):
        student = replace(inputs.student, **dict(zip(leaves, tensors, strict=True)))
        return compare(case, replace(inputs, student=student), IMPL).total

    plain = total(*leaves.values())
    recomputed = checkpoint(total, *leaves.values(), use_reentrant=False)
    torch.testing.assert_close(recomputed, plain)
    assert_same(gradients(recomputed, leaves), gradients(plain, leaves))


@EVERY_KIND
def test_a_compiled_caller_gets_the_same(kind):
    case = Case(kind=kind, **FULL)
    inputs, leaves = learning(case)

    def step(query, scale):
        student = replace(inputs.student, query=query * scale)
        return compare(case, replace(inputs, student=student), IMPL).mean() * 2

    losses = [make(leaves["query"], 1.5) for make in (step, torch.compile(step, backend="eager"))]
    plain, compiled = (torch.autograd.grad(loss, leaves["query"])[0] for loss in losses)
    torch.testing.assert_close(losses[1], losses[0])
    torch.testing.assert_close(compiled, plain)


@EVERY_KIND
@pytest.mark.parametrize("impl", [IMPL, "reference"])
def test_autocast_does_not_narrow_the_loss(kind, impl):
    case = Case(kind=kind, dtype=torch.float32, teacher_dtype=torch.float32, gap=1e-2)
    inputs, leaves = learning(case)
    plain = compare(case, inputs, impl).total
    with torch.autocast("cpu", dtype=torch.bfloat16):
        total = compare(case, inputs, impl).total
    assert torch.equal(total, plain)
    expected = gradients(plain, leaves)  # backward runs outside autocast, as PyTorch asks for
    for name, gradient in gradients(total, leaves).items():
        assert torch.equal(gradient, expected[name])


@EVERY_KIND
def test_float16_gradients_survive_the_loss_scale(kind):
    """Too small for float16 unscaled, they must not be cast before the scale arrives."""
    half = {"dtype": torch.float16, "teacher_dtype": torch.float16}
    case = Case(kind=kind, gap=1e-3, group=1, teacher_width=6, **half)
    inputs = make_inputs(case)
    exact = exact_outcome(case, inputs)
    master = inputs.student.query.float().requires_grad_()
    tiny, scaler = 2.0**-20, torch.amp.GradScaler("cpu", init_scale=2.0**22)
    optimizer = torch.optim.SGD([master], lr=1.0)
    student = replace(inputs.student, query=master.half())
    loss = weighted_sum(compare(case, replace(inputs, student=student), IMPL).total) * tiny
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    error = largest(master.grad / tiny, exact["query"])
    assert error <= allowed_errors(case, inputs, exact)["query"]
    smallest = torch.finfo(torch.float16).smallest_normal
    assert (exact["query"] * tiny).abs().max() < smallest


@EVERY_KIND
@PER
def test_second_derivatives_are_refused_at_once(kind, per):
    case = Case(kind=kind, per=per)
    inputs, leaves = learning(case)
    total = weighted_sum(compare(case, inputs, IMPL).total)
    with pytest.raises(RuntimeError, match='set impl="reference" for second derivatives'):
        torch.autograd.grad(total, leaves["query"], create_graph=True)
    (gradient,) = torch.autograd.grad(total, leaves["query"], retain_graph=True)
    (again,) = torch.autograd.grad(total, leaves["query"])
    assert torch.equal(gradient, again)


@PER
def test_inputs_changed_before_the_backward_are_noticed_or_do_not_matter(per):
    case = Case(per=per)
    inputs, leaves = learning(case)
    query = leaves["query"] * 1
    student = replace(inputs.student, query=query)
    total = compare(case, replace(inputs, student=student), IMPL).total
    expected = gradients(compare(case, inputs, IMPL).total, leaves)
    query.detach().add_(1)
    if per == "all":  # gradients were formed in the forward
        assert_same(gradients(total, leaves), expected)
    else:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            gradients(total, leaves)


@PER
def test_teachers_changed_before_the_backward_are_noticed_or_do_not_matter(per):
    case = Case(per=per)
    inputs, leaves = learning(case)
    expected = gradients(compare(case, inputs, IMPL).total, leaves)
    total = compare(case, inputs, IMPL).total
    inputs.teachers[0].key.add_(1)
    if per == "all":
        assert_same(gradients(total, leaves), expected)
    else:
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            gradients(total, leaves)


@EVERY_KIND
@pytest.mark.parametrize("impl", [IMPL, "reference"])
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_values_without_gradients(kind, impl, mode):
    case = Case(kind=kind, **FULL)
    inputs, _ = learning(case)
    expected = compare(case, inputs, impl).total
    with mode():
        total = compare(case, inputs, impl).total
    assert not total.requires_grad
    torch.testing.assert_close(total, expected.detach())


@EVERY_KIND
@PER
@pytest.mark.parametrize("impl", [IMPL, "reference"])
def test_a_teacher_run_in_inference_mode_teaches(kind, per, impl):
    case = Case(kind=kind, per=per, rows="float", mask=frozenset({"right", "dense"}))
    inputs, leaves = learning(case)
    expected = gradients(compare(case, inputs, impl).total, leaves)
    with torch.inference_mode():
        made = make_inputs(case)
    assert made.teachers[0].query.is_inference()
    student = replace(inputs.student, mask=made.teachers[0].mask)
    total = compare(case, Inputs(student, made.teachers, made.rows), impl).total
    assert_same(gradients(total, leaves), expected)


@EVERY_KIND
@PER
@pytest.mark.parametrize("frozen", ["query", "key", "bias"])
@pytest.mark.parametrize("impl", [IMPL, "reference"])
def test_what_needs_no_gradient_gets_none(kind, per, frozen, impl):
    case = Case(kind=kind, per=per, **FULL)
    inputs, leaves = learning(case)
    expected = gradients(compare(case, inputs, impl).total, leaves)
    leaves.pop(frozen).requires_grad_(False)
    del expected[frozen]
    assert_same(gradients(compare(case, inputs, impl).total, leaves), expected)


@EVERY_KIND
@PER
@pytest.mark.parametrize(
    "sizes", [{"batch": 0}, {"queries": 0}, {"batch": 0, "queries": 0}], ids=str
)
@pytest.mark.parametrize("impl", [IMPL, "reference"])
def test_nothing_to_compare_is_a_zero_with_its_graph(kind, per, sizes, impl):
    for mask in (frozenset(), frozenset({"right", "causal", "segments"})):
        case = Case(kind=kind, per=per, rows="bool", mask=mask, **sizes)
        inputs, leaves = learning(case)
        loss = compare(case, inputs, impl)
        assert loss.total.sum() == loss.count.sum() == loss.mean().sum() == 0
        for gradient in gradients(loss.mean(), leaves).values():
            assert not gradient.any()


def test_the_engine_needs_torch_alone():
    code = "import sys, attndistill.ops; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
