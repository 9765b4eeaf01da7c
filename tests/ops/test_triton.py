"""The Triton kernels against the reference in float64: interpreted without a GPU, else on it."""

import pytest
import torch

from attndistill.ops import (
    AttentionMask,
    Divergence,
    Impl,
    Masks,
    Relation,
    attention_divergence,
    score_mse,
)
from attndistill.ops.dispatch import chosen_impl
from attndistill.ops.problem import make_problem

pytest.importorskip("triton", reason="the Triton backend needs triton (Linux)")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
B, H, HK, Q, K, D, D_TEACHER = 2, 4, 2, 37, 45, 20, 16
QUERY, KEY = torch.arange(Q, device=DEVICE), torch.arange(K, device=DEVICE)
MASKS = {
    "none": None,
    "causal": AttentionMask(causal=True),
    "window": AttentionMask(causal=True, window=9),
    "two-sided": AttentionMask(window=5),
    "padded": AttentionMask(torch.tensor([[30], [45]], device=DEVICE) > KEY),
    "left": AttentionMask(torch.tensor([[3], [0]], device=DEVICE) <= KEY, causal=True),
    "nothing": AttentionMask(torch.tensor([[0], [45]], device=DEVICE) > KEY),
    "packed": AttentionMask(
        causal=True, query_segments=QUERY.expand(B, Q) // 11, key_segments=KEY.expand(B, K) // 13
    ),
}


def sides(dtype, *, scale=1.0, gap=None, teachers=1, mask=None):
    generator = torch.Generator().manual_seed(0)

    def tensor(*shape):
        return torch.randn(*shape, generator=generator).to(DEVICE)

    query, key = tensor(B, H, Q, D), tensor(B, HK, K, D)
    if gap is None:
        width = D_TEACHER
        pairs = [(tensor(B, H, Q, width), tensor(B, H, K, width)) for _ in range(teachers)]
    else:
        width, pairs = D, [(query + gap * tensor(B, H, Q, D), key)]
    query, key = (t.to(dtype).requires_grad_() for t in (query, key))
    student = Relation(query, key, scale * D**-0.5, mask=mask)
    others = [Relation(q.to(dtype), k.to(dtype), scale * width**-0.5, mask=mask) for q, k in pairs]
    return student, others


def outcome(student, teachers, *, dtype=None, impl, per="all", **options):
    """Value, count and gradients of a weighted sum; both sides in ``dtype`` if given."""
    if dtype is not None:
        student, *teachers = (
            Relation(
                side.query.detach().to(dtype).requires_grad_(),
                side.key.detach().to(dtype).requires_grad_(),
                side.scale,
                mask=side.mask,
            )
            for side in (student, *teachers)
        )
    loss = attention_divergence(student, teachers, impl=impl, per=per, **options)
    size = loss.total.numel()
    weights = torch.linspace(0.5, 1.5, size, device=DEVICE).view(loss.total.shape)
    gradients = torch.autograd.grad((loss.total * weights).sum(), (student.query, student.key))
    return [part.double() for part in (loss.total.detach(), *gradients)], loss.count


def assert_as_exact(student, teachers, dtype, **options):
    """The error is at most twice plain PyTorch's own in that dtype, plus what rounding alone makes.

    A score is rounded to eps of what it sums, scale |q||k|, on either side, and the logarithm of a
    row's sum that the backward is given to eps of the largest: each changes a probability by that
    share. The value of a row is a difference of logarithms of that size.
    """
    exact, count = outcome(student, teachers, dtype=torch.float64, impl="reference", **options)
    plain, _ = outcome(student, teachers, impl="reference", **options)
    ours, our_count = outcome(student, teachers, impl="triton", **options)
    torch.testing.assert_close(our_count, count, check_dtype=False)
    eps = torch.finfo(torch.float32).eps
    scores = sum(_largest_sum(side) for side in (student, *teachers))
    for name, wanted, theirs, got in zip(("value", "dQ", "dK"), exact, plain, ours, strict=True):
        size = wanted.abs().max()
        budget = 2 * (theirs - wanted).abs().max() + eps * (8 + 2 * scores) * size
        if name == "value":
            budget += eps * B * H * Q / max(1, wanted.numel())
        elif dtype == torch.float16:
            budget += torch.finfo(torch.float16).eps * size
        error = (got - wanted).abs().max()
        assert error <= budget + 1e-7, f"{name}: error {error:.1e}, budget {budget:.1e}"


def _largest_sum(side):
    key = side.key.abs().repeat_interleave(side.query.shape[1] // side.key.shape[1], dim=1)
    return (side.scale * side.query.abs() @ key.mT).max().double()


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("kind", list(Divergence))
def test_every_mask_and_divergence(kind, mask):
    student, teachers = sides(torch.float32, mask=MASKS[mask])
    rows = torch.rand(B, Q, generator=torch.Generator().manual_seed(1)).to(DEVICE) > 0.3
    assert_as_exact(student, teachers, torch.float32, kind=kind, rows=rows, temperature=2.0)


@pytest.mark.parametrize("per", ["all", "head", "row"])
@pytest.mark.parametrize("kind", ["kl", "cosine"])
def test_weighted_rows_and_totals_by_head_and_row(kind, per):
    student, teachers = sides(torch.float32, mask=MASKS["causal"])
    rows = torch.rand(B, Q, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    assert_as_exact(student, teachers, torch.float32, kind=kind, rows=rows, per=per)


@pytest.mark.parametrize("kind", list(Divergence))
def test_averaged_teachers(kind):
    student, teachers = sides(torch.float32, teachers=3, mask=MASKS["padded"])
    assert_as_exact(student, teachers, torch.float32, kind=kind)


@pytest.mark.parametrize("case", [{"scale": 60.0}, {"gap": 1e-3}, {}])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("kind", list(Divergence))
def test_sharp_rows_and_near_convergence(kind, dtype, case):
    student, teachers = sides(dtype, **case)
    assert_as_exact(student, teachers, dtype, kind=kind)


@pytest.mark.parametrize("kind", list(Divergence))
def test_zero_at_equality_and_value_without_gradients(kind):
    student, _ = sides(torch.float32, mask=MASKS["causal"])
    with torch.no_grad():
        same = attention_divergence(student, student, kind=kind, impl="triton")
    assert 0 <= same.total.item() < 1e-5
    assert same.count.item() == B * H * Q


def test_strided_heads_need_no_copy_to_be_right():
    student, teachers = sides(torch.float32)
    strided = Relation(
        student.query.detach().transpose(1, 2).contiguous().transpose(1, 2).requires_grad_(),
        student.key.detach().mT.contiguous().mT.requires_grad_(),
        student.scale,
    )
    (want, *_), _ = outcome(student, teachers, impl="triton")
    (got, *_), _ = outcome(strided, teachers, impl="triton")
    torch.testing.assert_close(got, want)


@pytest.mark.skipif(DEVICE == "cuda", reason="a GPU computes bfloat16 products rightly")
def test_bfloat16_is_refused_by_the_interpreter():
    student, teachers = sides(torch.bfloat16)
    with pytest.raises(ValueError, match="interpreter computes bfloat16 products wrongly"):
        attention_divergence(student, teachers, impl="triton")


def test_an_explicit_choice_never_falls_back():
    student, teachers = sides(torch.float64)
    with pytest.raises(ValueError, match="no float64"):
        attention_divergence(student, teachers, impl="triton")
    with pytest.raises(ValueError, match="linear time"):
        score_mse(*sides(torch.float32), impl="triton")


def test_auto_takes_the_kernels_on_a_gpu_only():
    student, teachers = sides(torch.float32)
    problem = make_problem(
        student,
        teachers,
        rows=None,
        divergence=Divergence.KL,
        temperature=1.0,
        masks=Masks.EQUAL,
    )
    assert chosen_impl(problem) is (Impl.TRITON if DEVICE == "cuda" else Impl.BLOCKWISE)
