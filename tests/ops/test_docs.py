"""What docstrings and docs/engine.md say is run: equivalents, gradients, doctests and blocks."""

import doctest
import inspect
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from attndistill.ops import (
    AttentionMask,
    Divergence,
    Relation,
    api,
    attention_divergence,
    loss_sum,
    score_mse,
)

ENGINE = Path(__file__).parents[2] / "docs" / "engine.md"
BLOCKS = re.findall(r"```python\n(.*?)```", ENGINE.read_text(encoding="utf-8"), re.DOTALL)
EXPRESSION = re.compile(rf"^ +({'|'.join(Divergence)}) +(.+)$", re.MULTILINE)
IMPLS = pytest.mark.parametrize("impl", ["reference", "blockwise"])
B, H, Q, K, D, TEMPERATURE = 2, 3, 5, 7, 4, 1.7


def documented(before, after):
    """The expressions by kind that attention_divergence's docstring gives between two phrases."""
    section = inspect.getdoc(attention_divergence).split(before)[1].split(after)[0]
    return dict(EXPRESSION.findall(section))


VALUES = documented("row values are", "The gradient of a row")
SLOPES = documented("of their angle", "It reaches the student")


@pytest.fixture
def sides():
    """A student and a teacher with padding and causality; a bias, to see the scores' gradient."""
    mask = AttentionMask(torch.tensor([[K], [K - 2]]) > torch.arange(K), causal=True)
    shapes = (B, H, Q, D), (B, H, K, D), (B, H, Q, K)

    def relation():
        query, key, bias = (torch.randn(*shape, dtype=torch.float64) for shape in shapes)
        return Relation(query.requires_grad_(), key, 0.6, mask=mask, bias=bias.requires_grad_())

    return relation(), relation()


@pytest.fixture
def visible():
    position = torch.arange(Q)[:, None] + K - Q
    lengths = torch.tensor([K, K - 2]).view(B, 1, 1, 1)
    key = torch.arange(K)
    return ((key <= position) & (key < lengths)).expand(B, H, Q, K)


def dense_scores(side):
    scores = side.scale * side.query @ side.key.mT
    return scores if side.bias is None else scores + side.bias


def names(student, teacher, visible):
    """What the docstring's expressions are made of."""
    log_s, log_t = (
        (torch.where(visible, dense_scores(side), -1e30) / TEMPERATURE).log_softmax(-1)
        for side in (student, teacher)
    )
    log_t = log_t.detach()
    p_s, p_t = log_s.exp(), log_t.exp()
    n, m = (p.norm(dim=-1, keepdim=True) for p in (p_s, p_t))
    return {
        "F": F,
        "log_s": log_s,
        "log_t": log_t,
        "log_m": torch.logaddexp(log_s, log_t) - math.log(2),
        "p_s": p_s,
        "p_t": p_t,
        "n": n,
        "m": m,
        "cos": (p_s * p_t).sum(-1, keepdim=True) / (n * m),
    }


def by_engine(student, teacher, kind, impl):
    loss = attention_divergence(
        student, teacher, kind=kind, temperature=TEMPERATURE, per="row", impl=impl
    )
    return loss.total, torch.autograd.grad(loss.total.sum(), (student.query, student.bias))


@pytest.mark.parametrize("kind", Divergence)
@IMPLS
def test_the_pytorch_line_of_each_divergence_is_what_it_computes(kind, impl, sides, visible):
    dense = eval(VALUES[kind], names(*sides, visible))
    student, _ = sides
    gradients = torch.autograd.grad(dense.sum(), (student.query, student.bias))
    torch.testing.assert_close(by_engine(*sides, kind, impl), (dense, gradients))
    assert (dense > 1e-3).all()


@pytest.mark.parametrize("kind", Divergence)
@IMPLS
def test_the_documented_w_gives_the_gradient_of_each_divergence(kind, impl, sides, visible):
    given = names(*sides, visible)
    w, p_s = eval(SLOPES[kind], given), given["p_s"]
    _, (_, gradient) = by_engine(*sides, kind, impl)
    torch.testing.assert_close(gradient, (w - p_s * w.sum(-1, keepdim=True)) / TEMPERATURE)
    assert gradient.norm() > 1e-3


@pytest.mark.parametrize("linear", [True, False])
@IMPLS
def test_the_pytorch_line_of_score_mse_is_what_it_computes(impl, linear, sides, visible):
    (line,) = re.findall(r"^ +(F\..*)$", inspect.getdoc(score_mse), re.MULTILINE)
    # A bias takes the blockwise backend from Gram matrices to tiles.
    student, teacher = (replace(side, bias=None) if linear else side for side in sides)
    scores = {"scores_s": dense_scores(student), "scores_t": dense_scores(teacher).detach()}
    dense = eval(line, {**scores, "visible": visible, "F": F})
    mean = score_mse(student, teacher, impl=impl).mean()
    of = (student.query,) if linear else (student.query, student.bias)
    torch.testing.assert_close(mean, dense)
    torch.testing.assert_close(torch.autograd.grad(mean, of), torch.autograd.grad(dense, of))


@pytest.mark.parametrize("module", [api, loss_sum], ids=lambda module: module.__name__)
def test_doctests_pass(module):
    failed, attempted = doctest.testmod(module)
    assert attempted > 0
    assert failed == 0


def test_the_blocks_of_the_engine_page_run_in_order():
    assert len(BLOCKS) >= 8
    read = {}
    for number, block in enumerate(BLOCKS):
        assert "assert" in block, f"block {number} checks nothing"
        exec(compile(block, f"docs/engine.md, block {number}", "exec"), read)


def test_the_engine_page_points_at_files_that_exist():
    paths = re.findall(r"`((?:src|tests|docs)/[\w./]+)`", ENGINE.read_text(encoding="utf-8"))
    assert "tests/ops/test_docs.py" in paths
    for path in paths:
        assert (ENGINE.parents[1] / path).is_file(), path
