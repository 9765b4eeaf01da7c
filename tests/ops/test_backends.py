"""Every backend is held to the dense reference in float64: values, counts and gradients."""

import shutil
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from ops.backends import BACKENDS, CPU, EXACT_BACKENDS
from ops.budgets import allowed_errors, exact_outcome, largest
from ops.inputs import compare, make_inputs, outcome, parts_of
from ops.strategies import DTYPES, KINDS, MASK_PARTS, Case, cases

from attndistill.ops.blockwise import compiled

EXAMPLES = settings(max_examples=150, deadline=None, derandomize=True, database=None)


def assert_exact(case, backend):
    """In float64 nothing is granted but what the reference itself loses to cancellation."""
    inputs = make_inputs(case, backend.device)
    backend.assume_supported(case, inputs)
    expected, result = (outcome(case, inputs, impl) for impl in ("reference", backend.impl))
    assert torch.equal(result.pop("count"), expected.pop("count"))
    assert result.keys() == expected.keys()
    for name, exact in expected.items():
        size = max(1.0, float(exact.abs().max()))
        torch.testing.assert_close(result[name], exact, rtol=1e-8, atol=1e-10 * size, msg=name)


def assert_within_budget(case, backend):
    inputs = make_inputs(case, backend.device)
    backend.assume_supported(case, inputs)
    exact = exact_outcome(case, inputs)
    allowed = allowed_errors(case, inputs, exact)
    result = outcome(case, inputs, backend.impl)
    torch.testing.assert_close(result["count"].double(), exact["count"].double(), rtol=1e-6, atol=0)
    for name, budget in allowed.items():
        if exact[name].abs().max() < torch.finfo(result[name].dtype).max:
            assert torch.isfinite(result[name]).all(), name
            assert largest(result[name], exact[name]) <= budget, name


FEATURES = {
    "bias": {"bias": (True, True)},
    "shared-bias": {"bias": (False, False)},
    "softcap": {"softcap": 1.5},
    "sinks": {"sinks": True},
    "averaged-teachers": {"teachers": 3},
    "grouped-keys": {"heads": 6, "group": 3, "teacher_group": 2},
    "one-key-head": {"group": 4, "teacher_group": 4},
    "strided": {"strided": True},
    "temperature": {"temperature": 3.7},
    "weighted-rows": {"rows": "float"},
    "chosen-rows": {"rows": "bool"},
    "more-queries": {"queries": 13, "keys": 5, "mask": frozenset({"causal"})},
    "one-query": {"queries": 1, "mask": frozenset({"causal"})},
    "one-key": {"keys": 1, "teacher_width": 1},
    "intersected": {"mask": frozenset({"right"}), "teacher_mask": frozenset({"dense", "window"})},
    "packed-causal": {"queries": 23, "keys": 29, "mask": frozenset({"causal", "segments"})},
}
REGIMES = {
    "plain": {},
    "sharp": {"sharp": 60.0, "sharp_teacher": 60.0},
    "sharp-teacher": {"sharp_teacher": 60.0},
    "near": {"gap": 1e-2},
    "converged": {"gap": 1e-4},
    "converged-wider": {"gap": 1e-4, "teacher_width": 9},
    "converged-sharp": {"gap": 1e-4, "sharp": 60.0},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mask", MASK_PARTS)
@pytest.mark.parametrize("per", ["all", "head", "row"])
@pytest.mark.parametrize("backend", EXACT_BACKENDS)
def test_every_mask_is_exact(backend, per, mask, kind):
    assert_exact(Case(kind=kind, mask=frozenset({mask}), rows="bool", per=per), backend)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("feature", FEATURES)
@pytest.mark.parametrize("backend", EXACT_BACKENDS)
def test_every_feature_is_exact(backend, feature, kind):
    assert_exact(Case(kind=kind, **FEATURES[feature]), backend)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_regime_is_within_the_budget(backend, regime, dtype, kind):
    if not backend.can(kind, dtype):
        pytest.skip("not what this backend does")
    changes = {"mask": frozenset({"right"}), "group": 1} | REGIMES[regime]
    assert_within_budget(Case(kind=kind, dtype=dtype, teacher_dtype=dtype, **changes), backend)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", EXACT_BACKENDS)
def test_any_case_is_exact(backend, kind):
    @given(case=cases(kind))
    @EXAMPLES
    def check(case):
        assert_exact(case, backend)

    check()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_any_case_is_within_the_budget(backend, kind):
    if not backend.can(kind):
        pytest.skip("not what this backend does")

    @given(case=cases(kind, dtypes=backend.dtypes, plain=backend.plain))
    @EXAMPLES
    def check(case):
        assert_within_budget(case, backend)

    check()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("backend", EXACT_BACKENDS)
def test_gradients_are_those_of_the_value(backend, kind):
    extras = {"bias": (False, True), "softcap": 2.0, "sinks": True, "temperature": 1.7}
    case = Case(kind=kind, batch=1, heads=2, queries=3, keys=4, mask=frozenset({"right"}), **extras)
    inputs = make_inputs(case, backend.device)
    leaves = parts_of(inputs.student)
    if kind == "score_mse":
        del leaves["sinks"]

    def total(*tensors):
        student = replace(inputs.student, **dict(zip(leaves, tensors, strict=True)))
        return compare(case, replace(inputs, student=student), backend.impl).total

    tensors = [tensor.detach().clone().requires_grad_() for tensor in leaves.values()]
    assert torch.autograd.gradcheck(total, tensors)


@pytest.mark.parametrize("kind", ["kl", "js"])
def test_compiled_rows_are_within_the_budget(kind, monkeypatch):
    """The elementwise part, compiled as large calls do; it must not have fallen back."""
    if shutil.which("c++") is None:
        pytest.skip("compiling needs a C++ compiler")
    monkeypatch.delenv("ATTNDISTILL_COMPILE", raising=False)
    monkeypatch.setattr(compiled, "COMPILED_SCORES", 1)
    case = Case(kind=kind, queries=19, keys=21, dtype=torch.float32, teacher_dtype=torch.float32)
    assert_within_budget(replace(case, mask=frozenset({"causal", "window"})), CPU)
    assert compiled._compiled not in (None, compiled.compare_in_parts)
