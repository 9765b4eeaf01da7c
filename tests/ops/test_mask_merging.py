"""Which keys are compared: masks are judged by what they hide, and said in as few as possible."""

import pytest
import torch

from attndistill.ops import AttentionMask, Masks, Relation, attention_divergence, score_mse
from attndistill.ops.mask import Shape, Tile, visible_tile
from attndistill.ops.mask_merging import merge_masks

B, H, Q, K = 2, 3, 5, 7
SHAPE, CPU = Shape(B, H, Q, K), torch.device("cpu")
KEY, QUERY = torch.arange(K), torch.arange(Q)[:, None]
CAUSAL = QUERY + K - Q >= KEY
EVERYTHING = Tile(*(slice(0, size) for size in SHAPE))
PADDED = torch.tensor([[5], [7]]) > KEY
PACKED = {
    "query_segments": (QUERY.T // 2).expand(B, Q),
    "key_segments": (KEY // 3).expand(B, K),
}
MASKS = {
    "none": None,
    "nothing hidden": AttentionMask(torch.ones(B, K, dtype=torch.bool), window=K - 1),
    "padded": AttentionMask(PADDED),
    "padded to the left": AttentionMask(PADDED.flip(1)),
    "causal": AttentionMask(causal=True),
    "causal window": AttentionMask(causal=True, window=3),
    "causal window that reaches all": AttentionMask(causal=True, window=K),
    "window": AttentionMask(window=2),
    "packed": AttentionMask(**PACKED),
    "packed otherwise": AttentionMask(
        query_segments=PACKED["query_segments"] // 2, key_segments=PACKED["key_segments"]
    ),
    "causal by a function": AttentionMask(visible=lambda b, h, q, k: k <= q + K - Q),
    "causal, dense": AttentionMask(visible=CAUSAL.expand(1, 1, Q, K)),
    "by head": AttentionMask(visible=(torch.arange(H)[:, None, None] <= KEY).expand(1, H, Q, K)),
}
EQUAL = [
    {"none", "nothing hidden"},
    {"causal", "causal window that reaches all", "causal by a function", "causal, dense"},
]


def seen(*masks):
    tile = visible_tile([mask for mask in masks if mask], EVERYTHING, SHAPE, CPU)
    return torch.ones(()).bool().expand(B, H, Q, K) if tile is None else tile.expand(B, H, Q, K)


@pytest.mark.parametrize("theirs", MASKS)
@pytest.mark.parametrize("ours", MASKS)
def test_the_intersection_is_what_both_sides_see(ours, theirs):
    merged = merge_masks(MASKS[ours], [MASKS[theirs]], Masks.INTERSECT, SHAPE, CPU)
    assert torch.equal(seen(*merged), seen(MASKS[ours]) & seen(MASKS[theirs]))
    compact = {"packed", "packed otherwise", "by head", "causal, dense", "causal by a function"}
    if ours not in compact or theirs not in compact:
        assert len(merged) <= 1


@pytest.mark.parametrize("theirs", MASKS)
@pytest.mark.parametrize("ours", MASKS)
def test_equal_is_what_hides_the_same_keys(ours, theirs):
    same = ours == theirs or any({ours, theirs} <= names for names in EQUAL)
    assert same == torch.equal(seen(MASKS[ours]), seen(MASKS[theirs]))
    if same:
        merged = merge_masks(MASKS[ours], [MASKS[theirs]], Masks.EQUAL, SHAPE, CPU)
        assert torch.equal(seen(*merged), seen(MASKS[ours]))
        return
    with pytest.raises(ValueError, match=r'see different keys, .*masks="intersect"'):
        merge_masks(MASKS[ours], [MASKS[theirs]], Masks.EQUAL, SHAPE, CPU)


def test_the_difference_is_named():
    dense = CAUSAL.expand(B, 1, Q, K).clone()
    dense[1, 0, 3, 2] = False
    with pytest.raises(ValueError, match="batch entry 1, head 0: key 2 of query 3"):
        merge_masks(
            AttentionMask(causal=True), [AttentionMask(visible=dense)], Masks.EQUAL, SHAPE, CPU
        )


def test_a_mask_that_hides_nothing_is_none():
    everything = AttentionMask(torch.ones(B, K, dtype=torch.bool), window=K)
    assert merge_masks(everything, [None], Masks.EQUAL, SHAPE, CPU) == ()
    one_query = Shape(B, H, 1, K)
    assert merge_masks(AttentionMask(causal=True), [], Masks.EQUAL, one_query, CPU) == ()


@pytest.mark.parametrize("impl", ["reference", "blockwise"])
def test_losses_compare_the_keys_that_both_see(impl):
    query, key = torch.randn(2, B, H, K, 4).unbind()
    ours = Relation(query, key, 0.5, mask=AttentionMask(PADDED, causal=True))
    theirs = Relation(key, query, 0.5, mask=AttentionMask(window=2))
    both = AttentionMask(PADDED, causal=True, window=3)
    expected = [Relation(side.query, side.key, 0.5, mask=both) for side in (ours, theirs)]
    for loss in (attention_divergence, score_mse):
        found, wanted = loss(ours, theirs, masks="intersect", impl=impl), loss(*expected)
        torch.testing.assert_close(found.total, wanted.total)
        assert torch.equal(found.count, wanted.count)
