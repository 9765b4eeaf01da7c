import pytest
import torch

from attndistill.errors import InputError
from attndistill.matching import averaged_heads, resplit
from attndistill.ops import AttentionMask, Relation, attention_divergence
from attndistill.ops.reference import attention_scores

# B batch, H heads, N tokens, D head width
BATCH, TOKENS = 2, 11


def make_relation(heads, key_heads=None, width=5, **parts):
    query = torch.randn(BATCH, heads, TOKENS, width)
    key = torch.randn(BATCH, key_heads or heads, TOKENS, width)
    return Relation(query, key, width**-0.5, **parts)


def probs(relation):
    return attention_scores(relation, torch.float32).softmax(-1)


@pytest.mark.parametrize(
    ("heads", "own", "key_heads"),
    [(3, 6, 6), (3, 6, 3), (3, 6, 2), (3, 6, 1), (2, 12, 4), (4, 12, 2), (4, 4, 2), (1, 5, 5)],
)
def test_a_student_head_learns_from_the_mean_of_its_teachers(heads, own, key_heads):
    bias = torch.randn(1, own, TOKENS, TOKENS)
    teacher = make_relation(own, key_heads, bias=bias)
    expected = probs(teacher).unflatten(1, (heads, -1)).mean(2)
    shares = averaged_heads(teacher, heads)
    assert len(shares) == own // heads
    torch.testing.assert_close(torch.stack([probs(share) for share in shares]).mean(0), expected)
    student = make_relation(heads, width=7)
    loss = attention_divergence(student, shares, kind="mse").mean()
    dense = (probs(student) - expected).square().sum(-1).mean()
    torch.testing.assert_close(loss, dense)


def test_a_student_with_more_heads_shares_teachers():
    teacher = make_relation(2, 1)
    (only,) = averaged_heads(teacher, 6)
    torch.testing.assert_close(probs(only), probs(teacher).repeat_interleave(3, 1))


def test_masks_and_sinks_of_heads_go_with_them():
    visible = torch.rand(BATCH, 4, TOKENS, TOKENS) > 0.4
    teacher = make_relation(4, sinks=torch.arange(4.0), mask=AttentionMask(visible=visible))
    for member, share in enumerate(averaged_heads(teacher, 2)):
        assert torch.equal(share.mask.visible, visible[:, member::2])
        assert share.sinks.tolist() == [member, 2 + member]


def test_heads_that_do_not_divide_are_refused():
    with pytest.raises(InputError, match=r"student has 4 and the teacher 6; use heads: relation"):
        averaged_heads(make_relation(6), 4)


@pytest.mark.parametrize(("heads", "key_heads", "cut"), [(4, 4, 2), (4, 2, 5), (6, 1, 3)])
def test_relation_heads_are_the_concatenated_features_cut_anew(heads, key_heads, cut):
    relation = make_relation(heads, key_heads, width=5)
    parts = []
    for tensor in (relation.query, relation.key.repeat_interleave(heads // key_heads, 1)):
        features = torch.cat(list(tensor.unbind(1)), -1)
        parts.append(torch.stack(features.chunk(cut, -1), 1))
    expected = (parts[0] @ parts[1].mT / (heads * 5 // cut) ** 0.5).softmax(-1)
    ours = resplit(relation.query, relation.key, cut, like=relation)
    torch.testing.assert_close(probs(ours), expected)


def test_relation_heads_that_do_not_fit_are_refused():
    plain = make_relation(4)
    with pytest.raises(InputError, match="relation_heads 3 does not divide 20 features"):
        resplit(plain.query, plain.key, 3, like=plain)
    biased = make_relation(4, bias=torch.zeros(1, 4, TOKENS, TOKENS))
    with pytest.raises(InputError, match="position bias"):
        resplit(biased.query, biased.key, 2, like=biased)
    visible = torch.ones(1, 4, TOKENS, TOKENS, dtype=torch.bool)
    masked = make_relation(4, mask=AttentionMask(visible=visible))
    with pytest.raises(InputError, match="masks its heads differently"):
        resplit(masked.query, masked.key, 2, like=masked)
