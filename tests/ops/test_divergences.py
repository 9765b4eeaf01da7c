"""Every backend is held to the dense fp64 reference: values, counts and gradients."""

import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attndistill.ops import AttentionMask, Relation, attention_divergence, score_mse

KINDS = ["kl", "reverse_kl", "js", "mse", "cosine", "score_mse"]
MASKS = ["none", "right", "left", "causal", "window", "segments", "function", "dense", "empty_rows"]


def make_mask(name, batch, queries, keys):
    lengths = torch.arange(batch) % keys + 1
    position = torch.arange(keys)
    match name:
        case "none":
            return None
        case "right":
            return AttentionMask(key_valid=position < lengths[:, None])
        case "left":
            return AttentionMask(key_valid=position >= keys - lengths[:, None], causal=True)
        case "causal":
            return AttentionMask(causal=True)
        case "window":
            return AttentionMask(causal=True, window=3)
        case "segments":
            return AttentionMask(
                query_segments=(torch.arange(queries) // 3).expand(batch, -1),
                key_segments=(position // 3).expand(batch, -1),
            )
        case "function":
            return AttentionMask(visible=lambda b, h, q, k: (q + k + h + b) % 3 > 0)
        case "dense":
            visible = torch.rand(batch, 1, queries, keys) > 0.3
            return AttentionMask(visible=visible)
        case "empty_rows":
            visible = torch.rand(1, 1, queries, keys) > 0.3
            visible[:, :, ::2] = False
            return AttentionMask(visible=visible)
    raise AssertionError(name)


def make_sides(
    mask="none", *, batch=2, heads=4, key_heads=2, queries=7, keys=11, gap=None, sharp=1
):
    """fp64 query and key of a student (width 6) and a teacher (width 5, or a near copy)."""
    visible = make_mask(mask, batch, queries, keys)

    def side(width, groups):
        query = torch.randn(batch, queries, heads, width, dtype=torch.float64).transpose(1, 2)
        key = torch.randn(batch, groups, keys, width, dtype=torch.float64)
        return query * sharp, key

    query, key = side(6, key_heads)
    if gap is None:
        teacher_query, teacher_key = side(5, heads)
    else:
        teacher_query = query + gap * torch.randn_like(query)
        teacher_key = key + gap * torch.randn_like(key)
    return (query, key, visible), (teacher_query, teacher_key, visible)


def run(kind, student, teacher, *, dtype=torch.float64, impl="blockwise", rows=None, **options):
    """Total, count and the gradients of query and key, all in fp64."""
    query, key = (t.detach().to(dtype).requires_grad_() for t in student[:2])
    relation = Relation(query, key, 0.4, mask=student[2])
    other = Relation(teacher[0].to(dtype), teacher[1].to(dtype), 0.5, mask=teacher[2])
    if kind == "score_mse":
        options.pop("temperature", None)
        loss = score_mse(relation, other, rows=rows, impl=impl, **options)
    else:
        loss = attention_divergence(relation, other, rows=rows, kind=kind, impl=impl, **options)
    weights = torch.linspace(0.5, 2, loss.total.numel()).view(loss.total.shape)
    gradients = torch.autograd.grad((loss.total * weights.to(loss.total)).sum(), (query, key))
    return loss.total.double(), loss.count, *(g.double() for g in gradients)


def error(result, oracle):
    scale = oracle.abs().max().clamp_min(1e-300)
    return float((result - oracle).abs().max() / scale)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("per", ["all", "head", "row"])
def test_blockwise_equals_the_reference_in_fp64(kind, mask, per):
    student, teacher = make_sides(mask)
    rows = torch.rand(2, 7) > 0.3
    options = {"rows": rows, "per": per, "temperature": 1.7}
    expected = run(kind, student, teacher, impl="reference", **options)
    result = run(kind, student, teacher, **options)
    assert torch.equal(result[1], expected[1])
    for ours, oracle in zip(result, expected, strict=True):
        torch.testing.assert_close(ours, oracle, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("case", ["plain", "sharp", "near", "converged"])
def test_error_is_at_most_twice_plain_pytorchs(kind, dtype, case):
    changes = {
        "plain": {},
        "sharp": {"sharp": 60},
        "near": {"gap": 1e-2},
        "converged": {"gap": 1e-4},
    }
    student, teacher = make_sides("right", key_heads=4, **changes[case])
    rounded = [
        tuple(t.to(dtype).double() if isinstance(t, torch.Tensor) else t for t in side)
        for side in (student, teacher)
    ]
    oracle = run(kind, *rounded, impl="reference")
    plain = run(kind, *rounded, impl="reference", dtype=dtype)
    result = run(kind, *rounded, dtype=dtype)
    # A floor of a few roundings: of the input dtype for gradients, of fp32 for the value.
    floors = (1e-5, 0, *[8 * torch.finfo(dtype).eps] * 2)
    for ours, theirs, exact, floor in zip(result, plain, oracle, floors, strict=True):
        assert torch.isfinite(ours.double()).all()
        assert error(ours.double(), exact.double()) <= max(
            2 * error(theirs.double(), exact.double()), floor
        )


@given(
    batch=st.integers(1, 3),
    key_heads=st.integers(1, 2),
    group=st.integers(1, 3),
    queries=st.integers(1, 9),
    keys=st.integers(1, 13),
    mask=st.sampled_from(MASKS),
    kind=st.sampled_from(KINDS),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_any_shape_equals_the_reference(batch, key_heads, group, queries, keys, mask, kind, seed):
    torch.manual_seed(seed)
    student, teacher = make_sides(
        mask, batch=batch, heads=key_heads * group, key_heads=key_heads, queries=queries, keys=keys
    )
    rows = torch.rand(batch, queries)
    expected = run(kind, student, teacher, impl="reference", rows=rows)
    for ours, oracle in zip(run(kind, student, teacher, rows=rows), expected, strict=True):
        torch.testing.assert_close(ours, oracle, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck(kind):
    student, teacher = make_sides("right", batch=1, heads=2, key_heads=1, queries=3, keys=4)
    other = Relation(teacher[0], teacher[1], 0.5, mask=teacher[2])

    def total(query, key):
        relation = Relation(query, key, 0.4, mask=student[2])
        if kind == "score_mse":
            return score_mse(relation, other).total
        return attention_divergence(relation, other, kind=kind).total

    inputs = [t.detach().clone().requires_grad_() for t in student[:2]]
    assert torch.autograd.gradcheck(total, inputs)


@pytest.mark.parametrize("kind", KINDS)
def test_zero_at_equality(kind):
    student, _ = make_sides("right")
    query, key = (t.detach().requires_grad_() for t in student[:2])
    relation = Relation(query, key, 0.4, mask=student[2])
    compare = score_mse if kind == "score_mse" else attention_divergence
    options = {} if kind == "score_mse" else {"kind": kind}
    loss = compare(relation, relation, **options)
    assert float(loss.total.detach()) == pytest.approx(0, abs=1e-14)
    for gradient in torch.autograd.grad(loss.total, (query, key)):
        assert float(gradient.abs().max()) < 1e-14


@pytest.mark.parametrize("kind", KINDS)
def test_tile_size_does_not_matter(kind, monkeypatch):
    student, teacher = make_sides("left", queries=11)
    expected = run(kind, student, teacher, per="head")
    for elements, rows in ((1, 1), (50, 2), (10**6, 4)):
        monkeypatch.setattr("attndistill.ops.blockwise.tiles.TILE_SCORES", elements)
        monkeypatch.setattr("attndistill.ops.blockwise.tiles.MIN_TILE_ROWS", rows)
        monkeypatch.setattr("attndistill.ops.blockwise.tiles.MIN_TILE_QUERIES", rows)
        for ours, other in zip(run(kind, student, teacher, per="head"), expected, strict=True):
            torch.testing.assert_close(ours, other, rtol=1e-10, atol=1e-12)


def shaped(kind, *, impl, temperature=1.3):
    """Total and gradients of query, key, bias and sinks, with a softcap and two teachers."""
    torch.manual_seed(3)
    tensors = [
        torch.randn(size, dtype=torch.float64, requires_grad=True)
        for size in ((2, 4, 5, 6), (2, 2, 7, 6), (1, 4, 5, 7), (4,))
    ]
    query, key, bias, sinks = tensors
    mask = make_mask("causal", 2, 5, 7)
    student = Relation(query, key, 0.4, mask=mask, bias=bias, softcap=2.0, sinks=sinks)
    teachers = [
        Relation(
            torch.randn(2, 4, 5, 3, dtype=torch.float64),
            torch.randn(2, 4, 7, 3, dtype=torch.float64),
            0.5,
            mask=mask,
            sinks=torch.randn(4, dtype=torch.float64),
        )
        for _ in range(2)
    ]
    if kind == "score_mse":
        loss = score_mse(student, teachers, impl=impl)
    else:
        loss = attention_divergence(
            student, teachers, kind=kind, temperature=temperature, impl=impl
        )
    gradients = torch.autograd.grad(loss.total, tensors, allow_unused=True)
    return loss.total, loss.count, *gradients


@pytest.mark.parametrize("kind", KINDS)
def test_bias_softcap_sinks_and_averaged_teachers(kind):
    expected = shaped(kind, impl="reference")
    for name, ours, oracle in zip(
        ("total", "count", "query", "key", "bias", "sinks"),
        shaped(kind, impl="blockwise"),
        expected,
        strict=True,
    ):
        if kind == "score_mse" and name == "sinks":
            assert ours is oracle is None
            continue
        torch.testing.assert_close(ours, oracle, rtol=1e-9, atol=1e-11, msg=name)
        assert oracle.abs().max() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_compiled_rows_equal_the_reference(kind, monkeypatch):
    """The elementwise part that large calls compile; it must not have fallen back."""
    from attndistill.ops.blockwise import compiled

    if shutil.which("c++") is None:
        pytest.skip("compiling needs a C++ compiler")
    monkeypatch.setattr(compiled, "COMPILED_SCORES", 1)
    student, teacher = make_sides("window", queries=19, keys=19)
    oracle = run(kind, student, teacher, impl="reference")
    result = run(kind, student, teacher, dtype=torch.float32)
    for ours, exact in zip(result, oracle, strict=True):
        assert error(ours.double(), exact.double()) < 2e-5
    if kind != "score_mse":
        assert compiled._compiled is not None
    assert compiled._compiled is not compiled.compare_in_parts


def test_sides_that_see_different_keys_are_refused_or_intersected():
    student, teacher = make_sides("right")
    teacher = (*teacher[:2], None)
    with pytest.raises(ValueError, match='masks="intersect"'):
        run("kl", student, teacher)
    both = run("kl", student, teacher, masks="intersect")
    expected = run("kl", student, (*teacher[:2], student[2]), impl="reference")
    torch.testing.assert_close(both[0], expected[0])


def test_unknown_options_list_the_choices():
    student, teacher = make_sides()
    for options in ({"impl": "fused"}, {"per": "token"}, {"masks": "any"}):
        with pytest.raises(ValueError, match="; choose "):
            run("kl", student, teacher, **options)
    with pytest.raises(ValueError, match="kind is 'kld'; did you mean 'kl'.*; choose kl, "):
        run("kld", student, teacher)


@pytest.mark.parametrize("value", [0.0, -1.0, float("inf"), float("nan")])
def test_what_divides_scores_must_be_positive_and_finite(value):
    side = Relation(*torch.randn(2, 1, 2, 3, 4), 0.5)
    with pytest.raises(ValueError, match="temperature must be positive and finite; got"):
        attention_divergence(side, side, temperature=value)
    with pytest.raises(ValueError, match="softcap must be positive and finite, or None; got"):
        Relation(side.query, side.key, 0.5, softcap=value)


def test_sizes_that_differ_come_with_a_remedy():
    student = Relation(*torch.randn(2, 1, 2, 3, 4), 0.5)
    teacher = Relation(*torch.randn(2, 1, 4, 3, 4), 0.5)
    with pytest.raises(ValueError, match="student 2, teacher 4. Give each student head one"):
        attention_divergence(student, teacher)


def test_nothing_of_size_queries_by_keys_is_kept():
    saved = []
    query, key = (torch.randn(1, 2, 512, 8).requires_grad_() for _ in range(2))
    other = Relation(torch.randn(1, 2, 512, 8), torch.randn(1, 2, 512, 8), 0.3)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        attention_divergence(Relation(query, key, 0.3), other).total.backward()
        score_mse(Relation(query, key, 0.3), other).total.backward()
    assert saved
    assert max(tensor.numel() for tensor in saved) <= 4 * query.numel()


def test_the_engine_needs_torch_alone():
    import subprocess
    import sys

    code = "import sys, attndistill.ops; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("mask", ["right", "left", "causal", "segments"])
@pytest.mark.parametrize("gap", [None, 1e-2])
@pytest.mark.parametrize("per", ["all", "head", "row"])
def test_linear_score_mse_equals_the_reference_over_many_causal_blocks(mask, gap, per, monkeypatch):
    monkeypatch.setattr("attndistill.ops.blockwise.gram.CAUSAL_BLOCK", 5)
    changes = {"gap": gap, "key_heads": 2 if gap is None else 4}
    student, teacher = make_sides(mask, queries=37, keys=37, **changes)
    options = {"per": per, "rows": torch.rand(2, 37)}
    expected = run("score_mse", student, teacher, impl="reference", **options)
    for ours, oracle in zip(run("score_mse", student, teacher, **options), expected, strict=True):
        torch.testing.assert_close(ours, oracle, rtol=1e-8, atol=1e-10)
