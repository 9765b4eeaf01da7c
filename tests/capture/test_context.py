import pytest
import torch
from tiny import make_batch, make_bert
from torch import nn
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from attndistill.capture import capture
from attndistill.errors import InputError


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_the_models_output_does_not_change_and_no_map_is_built(implementation):
    model = make_bert().eval()
    model.set_attn_implementation(implementation)
    batch = make_batch([9, 4])
    with torch.no_grad():
        plain = model(**batch).logits
        with capture(model) as records:
            captured = model(**batch).logits
    assert torch.equal(plain, captured)
    for record in records:
        assert record.mask.visible is None
        assert record.mask.key_valid.shape == (2, 9)


def test_padded_mask_is_handed_to_the_model_without_a_square_of_memory():
    model = make_bert().eval()
    seen = []
    original = ALL_ATTENTION_FUNCTIONS["sdpa"]

    def spy(module, query, key, value, attention_mask, **kwargs):
        seen.append(attention_mask)
        return original(module, query, key, value, attention_mask, **kwargs)

    ALL_ATTENTION_FUNCTIONS["sdpa"] = spy
    try:
        with torch.no_grad(), capture(model):
            model(**make_batch([9, 4]))
    finally:
        del ALL_ATTENTION_FUNCTIONS["sdpa"]
    assert seen
    assert seen[0].shape == (2, 1, 9, 9)
    assert seen[0].untyped_storage().nbytes() == 2 * 9


def test_only_the_layers_asked_for(bert):
    with torch.no_grad(), capture(bert, [2, 0]) as records:
        bert(**make_batch([5]))
    assert [r.layer for r in records] == [0, 2]
    with torch.no_grad(), capture(bert, {("encoder", "self"): [1]}, values=True) as records:
        bert(**make_batch([5]))
    assert [r.layer for r in records] == [1]
    assert records[0].value.shape == (1, 3, 5, 8)


def test_records_are_replaced_at_each_forward(bert):
    with torch.no_grad(), capture(bert) as records:
        bert(**make_batch([5]))
        bert(**make_batch([7]))
    assert [r.query.shape[2] for r in records] == [7, 7, 7]


def test_everything_is_restored_even_after_an_error(bert):
    bert.set_attn_implementation("eager")
    before = dict(ALL_ATTENTION_FUNCTIONS.items()), dict(ALL_MASK_ATTENTION_FUNCTIONS.items())
    with pytest.raises(RuntimeError, match="boom"), capture(bert), capture(make_bert()):
        raise RuntimeError("boom")
    with pytest.raises(IndexError), capture(bert) as records:
        bert(input_ids=torch.tensor([[10_000]]))
    assert records == []
    after = dict(ALL_ATTENTION_FUNCTIONS.items()), dict(ALL_MASK_ATTENTION_FUNCTIONS.items())
    assert before == after
    assert not bert._forward_hooks
    assert not bert._forward_pre_hooks
    assert "generate" not in vars(bert)


def test_contexts_may_close_in_any_order(bert):
    other = make_bert(seed=1)
    original = ALL_ATTENTION_FUNCTIONS["sdpa"]
    first, second = capture(bert), capture(other)
    first.__enter__()
    records = second.__enter__()
    first.__exit__(None, None, None)
    other(**make_batch([5]))
    assert len(records) == 3
    second.__exit__(None, None, None)
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is original


def test_two_models_do_not_record_each_other(bert):
    other = make_bert(layers=2, seed=1)
    with capture(bert) as records, capture(other) as others:
        bert(**make_batch([5]))
        assert (len(records), len(others)) == (3, 0)
        other(**make_batch([6]))
    assert [r.query.shape[2] for r in records + others] == [5, 5, 5, 6, 6]


def test_gradient_reaches_the_layer_and_only_from_below(bert):
    with capture(bert) as records:
        bert(**make_batch([5, 3]))
    records[1].attention_probs().square().sum().backward()
    layers = bert.bert.encoder.layer
    assert layers[1].attention.self.query.weight.grad.abs().sum() > 0
    assert layers[0].output.dense.weight.grad.abs().sum() > 0
    assert layers[2].attention.self.query.weight.grad is None


def test_gradients_are_exact_under_non_reentrant_checkpointing():
    batch = make_batch([6, 3])
    gradients = []
    for checkpointing in (False, True):
        model = make_bert(dropout=0.1).train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        torch.manual_seed(5)
        with capture(model) as records:
            model(**batch)
        assert len(records) == 3
        sum(r.attention_probs().square().sum() for r in records).backward()
        assert len(records) == 3
        gradients.append([p.grad for p in model.parameters()])
    for plain, recomputed in zip(*gradients, strict=True):
        if plain is None:
            assert recomputed is None or not recomputed.any()
        else:
            torch.testing.assert_close(plain, recomputed, rtol=0, atol=1e-7)


def test_reentrant_checkpointing_is_refused():
    model = make_bert().train()
    model.gradient_checkpointing_enable({"use_reentrant": True})
    model.enable_input_require_grads()
    with pytest.raises(InputError, match="use_reentrant"), capture(model):
        model(**make_batch([5]))


def test_a_skipped_layer_is_an_error_that_names_the_fix(bert):
    class Skipped(nn.Module):
        def forward(self, hidden_states, *args, **kwargs):
            return hidden_states

    bert.bert.encoder.layer[1].forward = Skipped().forward
    with pytest.raises(InputError, match=r"encoder self 1.*layerdrop"), capture(bert):
        bert(**make_batch([5]))


def test_a_layer_that_does_not_exist_is_refused(bert):
    with pytest.raises(InputError, match="layer 3 was asked for, but this model has 3"):
        capture(bert, [3]).__enter__()
