"""Families outside the AttentionInterface: captured inside their modules, or refused."""

import pytest
import torch
import transformers as hf
from capture.families import DISENTANGLED, ENCODER, REFUSED, family, tiny_model

from attndistill.capture import attention_layers, capture
from attndistill.capture.forward import run_model
from attndistill.errors import InputError

CAPTURED = ["MPNet", "DeBERTa", "DeBERTa-v2, v3", "Falcon", "BLOOM", "GPT-J"]


def traces(model):
    """All that a capture could leave on the modules of a model."""
    return [
        (name, dict(part._forward_hooks), sorted(set(vars(part)) - {"_is_hf_initialized"}))
        for name, part in model.named_modules()
    ]


@pytest.mark.parametrize("name", CAPTURED)
def test_the_output_does_not_change_and_the_model_is_restored(name):
    model, batch = tiny_model(family(name))
    before = traces(model)
    with torch.no_grad():
        plain = run_model(model, batch).logits
        with capture(model, values=True) as records:
            assert torch.equal(run_model(model, batch).logits, plain)
    assert len(records) == 3
    assert traces(model) == before
    with pytest.raises(IndexError), capture(model):
        model(input_ids=torch.tensor([[10_000]]))
    assert traces(model) == before
    with torch.no_grad():
        assert torch.equal(run_model(model, batch).logits, plain)


def test_a_forward_that_failed_leaves_nothing_to_the_next():
    model, batch = tiny_model(family("MPNet"))
    with torch.no_grad(), capture(model) as records:
        run_model(model, batch)
        expected = [record.query for record in records]

    def fail(*_):
        raise RuntimeError("boom")

    other = {"input_ids": batch["input_ids"].flip(0), "attention_mask": batch["attention_mask"]}
    with torch.no_grad(), capture(model) as records:
        hook = model.mpnet.encoder.layer[1].attention.attn.o.register_forward_pre_hook(fail)
        with pytest.raises(RuntimeError, match="boom"):
            run_model(model, other)
        hook.remove()
        run_model(model, batch)
    for record, query in zip(records, expected, strict=True):
        assert torch.equal(record.query, query)


@pytest.mark.parametrize("name", ["MPNet", "BLOOM"])
def test_contexts_on_one_model_may_close_in_any_order(name):
    model, batch = tiny_model(family(name))
    before = traces(model)
    first, second = capture(model, [0]), capture(model, [0, 2])
    first.__enter__()
    records = second.__enter__()
    first.__exit__(None, None, None)
    run_model(model, batch)
    assert [record.layer for record in records] == [0, 2]
    second.__exit__(None, None, None)
    assert traces(model) == before


@pytest.mark.parametrize("name", CAPTURED)
def test_values_are_those_attention_averages(name):
    """Attention probabilities times recorded values is what enters the output projection."""
    model, batch = tiny_model(family(name), "none")
    attention = model.get_submodule(attention_layers(model)[0].name)
    attention = getattr(attention, "dense", None) or getattr(attention, "o", None) or attention
    seen = []
    if hasattr(attention, "out_proj"):
        attention = attention.out_proj
    whole = type(attention).__name__ == "DisentangledSelfAttention"
    attention.register_forward_hook(
        lambda _, inputs, output: seen.append(output[0] if whole else inputs[0])
    )
    with torch.no_grad(), capture(model, [0], values=True) as records:
        run_model(model, batch)
    record = records[0]
    value = record.value.repeat_interleave(record.query.shape[1] // record.value.shape[1], 1)
    mixed = (record.attention_probs() @ value).transpose(1, 2).flatten(2)
    torch.testing.assert_close(mixed, seen[0], rtol=0, atol=2e-6)


def test_shared_key_heads_of_falcon_are_not_repeated():
    model, batch = tiny_model(family("Falcon"))
    with torch.no_grad(), capture(model, values=True) as records:
        run_model(model, batch)
    assert records[0].query.shape[1] == 4
    assert records[0].key.shape[1] == records[0].value.shape[1] == 2


@pytest.mark.parametrize("name", ["BLOOM", "Falcon"])
def test_keys_from_a_cache_are_refused(name):
    model, batch = tiny_model(family(name), "none")
    ids = batch["input_ids"]
    with torch.no_grad(), capture(model) as records:
        past = model(input_ids=ids[:, :-1], use_cache=True).past_key_values
        assert records[0].key.shape[2] == ids.shape[1] - 1
        with pytest.raises(InputError, match=r"11 keys, 10 of them from a key/value cache"):
            model(input_ids=ids[:, -1:], past_key_values=past)


def test_deberta_masks_the_padding_of_keys():
    model, batch = tiny_model(family("DeBERTa"))
    valid = batch["attention_mask"].bool()
    for mask in (batch["attention_mask"], batch["attention_mask"][:, None, None]):
        with torch.no_grad(), capture(model) as records:
            model(input_ids=batch["input_ids"], attention_mask=mask)
        for record in records:
            assert torch.equal(record.mask.key_valid, valid)


@pytest.mark.parametrize("positions", [[], ["c2p"], ["p2c"]])
@pytest.mark.parametrize("config", [hf.DebertaConfig, hf.DebertaV2Config])
def test_deberta_with_fewer_terms(config, positions):
    torch.manual_seed(0)
    options = {**DISENTANGLED, "pos_att_type": positions, "initializer_range": 0.3}
    model = hf.AutoModel.from_config(config(**ENCODER, **options)).eval()
    ids = torch.randint(5, 97, (2, 7))
    with torch.no_grad(), capture(model) as records:
        expected = model(ids, output_attentions=True).attentions
    assert all((record.bias is None) == (not positions) for record in records)
    for record, probs in zip(records, expected, strict=True):
        assert (record.attention_probs() - probs).abs().max() <= 1e-6


@pytest.mark.parametrize("name", REFUSED)
def test_families_that_are_not_exact_are_refused_with_the_reason(name):
    reason, model, config = REFUSED[name]
    with pytest.raises(InputError, match=reason):
        attention_layers(model(config()))
