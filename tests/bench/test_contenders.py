"""A comparison means something only if all contenders compute the same."""

import math
import os
import shutil

import pytest
import torch

from attndistill.bench.cases import Case
from attndistill.bench.contenders import CONTENDERS, contender_run, make_inputs, why_not
from attndistill.bench.dense import scores
from attndistill.bench.textbrewer import KINDS as TEXTBREWER_KINDS
from attndistill.bench.textbrewer import is_installed
from attndistill.ops.blockwise import compiled

KINDS = ("kl", "reverse_kl", "js", "mse", "cosine", "score_mse")


def small(kind="kl", **changes):
    return Case(**{"kind": kind, "batch": 2, "heads": 3, "length": 37, "head_dim": 8} | changes)


def assert_same(case, name, tolerance=1e-5):
    loss, *gradients = contender_run(case, name)()
    expected, *expected_gradients = contender_run(case, "dense")()
    torch.testing.assert_close(loss, expected.to(loss.dtype), rtol=tolerance, atol=0)
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        assert wanted.norm() > 0
        assert (gradient - wanted).norm() <= tolerance * wanted.norm()


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["blockwise", "blockwise-uncompiled"])
def test_ours_compute_what_the_textbook_does(name, kind, causal):
    assert_same(small(kind, causal=causal), name)


def test_ours_in_bfloat16_is_near_the_textbook():
    assert_same(small(dtype="bfloat16"), "blockwise", tolerance=0.03)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_the_compiled_textbook_computes_the_same():
    assert_same(small(), "dense-compiled")


@pytest.mark.skipif(not is_installed(), reason="pip install --no-deps textbrewer==0.2.1.post1")
@pytest.mark.parametrize("kind", TEXTBREWER_KINDS)
def test_textbrewer_computes_the_same_but_for_the_teachers_entropy(kind):
    case = small(kind)
    if kind != "kl":
        return assert_same(case, "textbrewer")
    loss, *gradients = contender_run(case, "textbrewer")()
    kl, *expected = contender_run(case, "dense")()
    inputs = make_inputs(case)
    teacher = scores(inputs.teacher_query, inputs.teacher_key, case.head_dim**-0.5, None)
    entropy = torch.distributions.Categorical(logits=teacher).entropy().mean()
    torch.testing.assert_close(loss, kl + entropy)
    torch.testing.assert_close(gradients, expected, rtol=1e-4, atol=1e-7)


@pytest.mark.skipif(not is_installed(), reason="pip install --no-deps textbrewer==0.2.1.post1")
def test_textbrewer_is_not_asked_for_causal_maps():
    with pytest.raises(ValueError, match="causal"):
        contender_run(small(causal=True), "textbrewer")


def test_the_yardstick_carries_out_the_four_products():
    case = small()
    query_gradient, key_gradient = contender_run(case, "matrix-products")()
    query, key, teacher_query, teacher_key = (tensor.detach() for tensor in make_inputs(case))
    last_scores = teacher_query @ teacher_key.mT
    torch.testing.assert_close(query_gradient, last_scores @ key)
    torch.testing.assert_close(key_gradient, last_scores.mT @ query)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("causal", [False, True])
def test_gpu_contenders(causal):
    case = small(causal=causal, length=128, head_dim=64, dtype="bfloat16", device="cuda")
    assert_same(case, "triton", tolerance=0.03)
    assert all(tensor.isfinite().all() for tensor in contender_run(case, "sdpa-flash")())


def test_the_uncompiled_contender_never_reaches_the_compiler(monkeypatch):
    def with_compiler(*_):
        raise RuntimeError("compiled")

    monkeypatch.delenv("ATTNDISTILL_COMPILE", raising=False)
    monkeypatch.setattr(compiled, "COMPILED_SCORES", 0)
    monkeypatch.setattr(compiled, "_compare_compiled", with_compiler)
    contender_run(small(), "blockwise-uncompiled")()
    assert "ATTNDISTILL_COMPILE" not in os.environ
    with pytest.raises(RuntimeError, match="compiled"):
        contender_run(small(), "blockwise")()


def test_what_does_not_fit_is_left_out_with_its_size():
    huge = small(length=10**6)
    assert "GiB" in why_not(huge, "dense")
    assert why_not(huge, "blockwise") is None
    assert why_not(small(), "dense") is None


def test_flops_of_a_product_halve_under_a_causal_mask():
    case = small()
    assert case.product_flops == 2 * math.prod((2, 3, 37, 37, 8))
    assert small(causal=True).product_flops == case.product_flops / 2
    assert set(CONTENDERS) > {"blockwise", "dense", "sdpa-flash"}
