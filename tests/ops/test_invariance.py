"""What must not change a loss: padding, order, blocks, the split of a batch, how a mask is said."""

from dataclasses import replace

import torch
from ops.inputs import Inputs, compare, outcome
from ops.laws import EVERY_KIND, IMPL, assert_same, law

from attndistill.ops import AttentionMask


@EVERY_KIND
def test_more_padding_changes_nothing(kind):
    """Padding holds large finite garbage, on the right or (causal, a longer cache) on the left."""

    @law(kind, rows="bool", mask=frozenset(), teacher_mask=None, bias=None)
    def check(case, inputs):
        for side in ("right", "left"):
            assert_padding_is_nothing(case, inputs, side, more=3)


def assert_padding_is_nothing(case, inputs, side, more):
    ends = (0, more) if side == "right" else (more, 0)

    def pad(tensor):
        if tensor.dim() != 4:
            return tensor
        return torch.nn.functional.pad(tensor, (0, 0, *ends), value=-37.0)

    causal = side == "left"
    valid = torch.ones(case.batch, case.keys, dtype=torch.bool)
    mask = AttentionMask(valid, causal=causal)
    padded_mask = AttentionMask(torch.nn.functional.pad(valid, ends), causal=causal)
    short = inputs.map(lambda tensor: tensor)
    plain, padded = (
        Inputs(replace(i.student, mask=m), [replace(t, mask=m) for t in i.teachers], i.rows)
        for i, m in ((short, mask), (inputs.map(pad), padded_mask))
    )
    padded = replace(padded, rows=torch.nn.functional.pad(inputs.rows, ends))
    case = replace(case, per="all")
    expected, result = outcome(case, plain, IMPL), outcome(case, padded, IMPL)
    kept = slice(None, -more) if side == "right" else slice(more, None)
    for name in ("query", "key"):
        whole = result[name].clone()
        result[name] = result[name][:, :, kept]
        whole[:, :, kept] = 0
        assert not whole.any()
    assert_same(result, expected)


@EVERY_KIND
def test_a_batch_split_over_steps_adds_up(kind):
    @law(kind, batch=3, mask=frozenset({"right", "causal"}), teacher_mask=None, bias=None)
    def check(case, inputs):
        case = replace(case, per="head")
        whole = compare(case, inputs, IMPL)
        parts = [compare(case, entry_of(inputs, b), IMPL) for b in range(case.batch)]
        added = parts[0] + parts[1] + parts[2]
        torch.testing.assert_close(added.total, whole.total)
        torch.testing.assert_close(added.count, whole.count)


def entry_of(inputs, b):
    def cut(relation):
        mask = replace(relation.mask, key_valid=relation.mask.key_valid[b : b + 1])
        query, key = relation.query[b : b + 1], relation.key[b : b + 1]
        return replace(relation, query=query, key=key, mask=mask)

    student, *teachers = (cut(side) for side in (inputs.student, *inputs.teachers))
    teachers = [replace(teacher, mask=student.mask) for teacher in teachers]
    rows = None if inputs.rows is None else inputs.rows[b : b + 1]
    return Inputs(student, teachers, rows)


@EVERY_KIND
def test_heads_and_batch_entries_may_be_permuted_together(kind):
    @law(kind, batch=3, group=1, teacher_group=1, mask=frozenset(), teacher_mask=None, bias=None)
    def check(case, inputs):
        case = replace(case, per="row")
        entries, heads = torch.randperm(3), torch.randperm(case.heads)

        def shuffle(tensor):
            return tensor[entries][:, heads] if tensor.dim() == 4 else tensor[heads]

        rows = None if inputs.rows is None else inputs.rows[entries]
        shuffled = compare(case, replace(inputs.map(shuffle), rows=rows), IMPL)
        expected = compare(case, inputs, IMPL)
        torch.testing.assert_close(shuffled.total, shuffle(expected.total[..., None])[..., 0])


@EVERY_KIND
def test_the_size_of_blocks_changes_nothing(kind, monkeypatch):
    sizes = {
        "tiles.TILE_SCORES": (1, 50),
        "tiles.MIN_TILE_ROWS": (1, 2),
        "tiles.MIN_TILE_QUERIES": (1, 2),
        "compiled.EAGER_PART": (1, 7),
        "compiled.COMPILED_PART": (1, 7),
        "gram.CAUSAL_BLOCK": (2, 3),
        "gram.STACKED_ELEMENTS": (1, 200),
    }

    @law(kind)
    def check(case, inputs):
        expected = outcome(case, inputs, IMPL)
        for i in range(2):
            with monkeypatch.context() as patch:
                for name, values in sizes.items():
                    patch.setattr(f"attndistill.ops.blockwise.{name}", values[i])
                assert_same(outcome(case, inputs, IMPL), expected)


@EVERY_KIND
def test_one_mask_said_in_several_ways_is_one_mask(kind):
    @law(kind, mask=frozenset({"causal", "window"}), teacher_mask=None)
    def check(case, inputs):
        expected = outcome(case, inputs, IMPL)
        shift = case.keys - case.queries
        function = AttentionMask(visible=lambda b, h, q, k: (k <= q + shift) & (q + shift - k < 3))
        query, key = torch.arange(case.queries)[:, None], torch.arange(case.keys)
        dense = AttentionMask(visible=function.visible(0, 0, query, key)[None, None])
        for mask in (function, dense):
            student, *teachers = (
                replace(side, mask=mask) for side in (inputs.student, *inputs.teachers)
            )
            assert_same(outcome(case, Inputs(student, teachers, inputs.rows), IMPL), expected)
