"""Masks are recorded in compact form, whoever made them."""

import pytest
import torch
from capture.families import family, tiny_model

from attndistill.capture import attention_layers, capture
from attndistill.capture.attention_call import AttentionCall
from attndistill.capture.recorder import Recorder
from attndistill.errors import InputError


@pytest.mark.parametrize(
    ("name", "causal", "windows"),
    [
        ("Gemma 2", True, [4, None, 4]),
        ("Qwen3", True, [4, None, 4]),
        ("gpt-oss", True, [4, None, 4]),
        ("ModernBERT", False, [None, 3, 3]),
    ],
)
def test_windows_are_windows_and_not_index_functions(name, causal, windows):
    model, batch = tiny_model(family(name))
    with torch.no_grad(), capture(model) as records:
        model(**batch)
    for record, window in zip(records, windows, strict=True):
        assert record.mask.window == window
        assert record.mask.causal is causal
        assert record.mask.visible is None
        assert torch.equal(record.mask.key_valid, batch["attention_mask"].bool())


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_users_own_mask_hides_keys_whether_bool_or_additive(implementation):
    model, batch = tiny_model(family("Llama"), "none")
    model.set_attn_implementation(implementation)
    # A prefix of 4 tokens that see each other, and causal after it.
    visible = torch.ones(11, 11).tril().bool()
    visible[:4, :4] = True
    visible = visible.expand(3, 1, 11, 11)
    additive = torch.zeros(3, 1, 11, 11).masked_fill(~visible, torch.finfo(torch.float32).min)
    masks = [additive] if implementation == "eager" else [visible, additive]
    for mask in masks:
        with torch.no_grad(), capture(model) as records:
            model(input_ids=batch["input_ids"], attention_mask=mask, use_cache=False)
        for record in records:
            assert torch.equal(record.mask.visible, visible)
            assert record.bias is None or not record.bias.any()
            probs = record.attention_probs()
            assert torch.equal(probs > 0, visible.expand_as(probs))


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_packed_sequences_do_not_see_each_other(implementation):
    model, batch = tiny_model(family("Llama"), "none")
    model.set_attn_implementation(implementation)
    ids = batch["input_ids"][:1]
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6]])
    with torch.no_grad(), capture(model) as records:
        model(input_ids=ids, position_ids=positions, use_cache=False)
    for record in records:
        assert record.mask.visible is None
        assert record.mask.query_segments.tolist() == [[0] * 4 + [1] * 7]
        assert record.mask.causal
    packed = [record.attention_probs() for record in records]
    for part in (slice(0, 4), slice(4, 11)):
        with torch.no_grad(), capture(model) as records:
            model(input_ids=ids[:, part], use_cache=False)
        for record, probs in zip(records, packed, strict=True):
            alone = record.attention_probs()
            torch.testing.assert_close(probs[:, :, part, part], alone, rtol=0, atol=1e-6)
            torch.testing.assert_close(probs[:, :, part].sum(-1), alone.sum(-1))


def recorder_of_llama():
    model, _ = tiny_model(family("Llama"))
    layers = attention_layers(model)
    recorder = Recorder(model, layers, layers[:1], values=False)
    recorder.begin()
    return recorder, model.get_submodule(layers[0].name)


def call_of(module, implementation, **options):
    query, key = torch.randn(1, 4, 7, 6), torch.randn(1, 2, 7, 6)
    return AttentionCall.of_interface(module, implementation, query, key, key, None, options)


@pytest.mark.parametrize(
    "packing",
    [
        {"cu_seq_lens_q": torch.tensor([0, 4, 7])},
        {"position_ids": torch.tensor([[0, 1, 2, 3, 0, 1, 2]])},
    ],
)
def test_packing_inside_a_flash_kernel_is_refused(packing):
    recorder, module = recorder_of_llama()
    with pytest.raises(InputError, match='set attn_implementation="sdpa"'):
        recorder.record(module, call_of(module, "flash_attention_2", **packing))
    # Unpacked positions are not packing.
    positions = {"position_ids": torch.arange(7)[None]}
    recorder.end()
    recorder.begin()
    recorder.record(module, call_of(module, "flash_attention_2", **positions, sliding_window=3))
    recorder.complete()
    mask = recorder.records[0].mask
    assert mask.causal
    assert mask.window == 3


def test_arguments_that_choose_keys_are_refused():
    recorder, module = recorder_of_llama()
    with pytest.raises(InputError, match="shapes its softmax by indices"):
        recorder.record(module, call_of(module, "eager", indices=torch.zeros(1, 7, 2)))


@pytest.mark.parametrize(("implementation", "causal"), [("sdpa", True), ("eager", False)])
def test_without_a_mask_only_a_kernel_masks_causally(implementation, causal):
    recorder, module = recorder_of_llama()
    recorder.record(module, call_of(module, implementation, sliding_window=3))
    recorder.complete()
    mask = recorder.records[0].mask
    assert (mask is not None and mask.causal) is causal
    # Only FlashAttention applies the window itself.
    assert mask is None or mask.window is None
