"""Captured attention equals eager attention's own, in every family of the table."""

import pytest
import torch
from capture.exactness import (
    flat_gradient,
    largest_errors,
    largest_gradient_error,
    returned_probs,
    use,
)
from capture.families import FAMILIES, family, tiny_model

from attndistill.capture import attention_layers, capture
from attndistill.capture.forward import run_model
from attndistill.errors import InputError

CASES = [
    pytest.param(family, implementation, padding, id=f"{family.name}-{implementation}-{padding}")
    for family in FAMILIES
    for implementation in family.implementations
    for padding in family.paddings
]


@pytest.mark.parametrize(("family", "implementation", "padding"), CASES)
@pytest.mark.filterwarnings("ignore:Qwen3Next.*skipped")
def test_probabilities_equal_eagers(family, implementation, padding):
    errors = largest_errors(family, padding, implementation)
    assert max(errors.values()) <= 1e-6


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.filterwarnings("ignore:Qwen3Next.*skipped")
def test_gradients_equal_eagers(family):
    # A few rounding steps of fp32, relative to the largest gradient.
    assert largest_gradient_error(family) <= 5e-6


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
@pytest.mark.filterwarnings("ignore:Qwen3Next.*skipped")
def test_the_models_output_does_not_change(family):
    model, batch = tiny_model(family)
    with torch.no_grad():
        plain = run_model(model, batch)
        with capture(model):
            captured = run_model(model, batch)
    logits = "logits" if "logits" in plain else "logits_per_text"
    assert torch.equal(plain[logits], captured[logits])


def records_of(name, padding="right", layers=None, **options):
    model, batch = tiny_model(family(name), padding)
    with capture(model, layers, **options) as records:
        model(**batch)
    return model, records


class TestSharedLayers:
    def test_albert_layers_are_numbered_in_the_order_of_their_calls(self):
        model, _ = tiny_model(family("ALBERT"))
        layers = attention_layers(model)
        # 4 hidden layers in 2 groups of 2 inner layers: each group runs twice in a row.
        assert [layer.layer for layer in layers] == list(range(8))
        modules = [layer.name.split("groups.")[1] for layer in layers]
        first, second = modules[:2], modules[4:6]
        assert modules == first * 2 + second * 2
        assert [layer.call for layer in layers] == [0, 0, 1, 1] * 2

    def test_one_layer_can_be_asked_for(self):
        _, every = records_of("ALBERT")
        _, two = records_of("ALBERT", layers=[6, 2])
        assert [record.layer for record in two] == [2, 6]
        for record in two:
            assert torch.equal(record.query, every[record.layer].query)

    def test_the_gradient_of_an_early_layer_is_not_that_of_a_later_one(self):
        gradients = []
        for layer in (0, 2):
            model, records = records_of("ALBERT", layers=[layer])
            records[0].attention_probs().square().sum().backward()
            later_group = model.albert.encoder.albert_layer_groups[1]
            assert all(parameter.grad is None for parameter in later_group.parameters())
            shared = model.albert.encoder.albert_layer_groups[0].albert_layers[0].ffn
            gradients.append(shared.weight.grad)
        # Layer 2 is the second run of layer 0's module, so only its gradient passes through it.
        assert gradients[0] is None
        assert gradients[1].abs().sum() > 0


def test_the_position_bias_of_t5_has_its_gradient():
    model, records = records_of("T5")
    encoder = [record for record in records if record.stack == "encoder"]
    assert encoder[1].bias.shape == (1, 3, 11, 11)
    encoder[1].attention_probs().square().sum().backward()
    table = model.get_encoder().block[0].layer[0].SelfAttention.relative_attention_bias.weight
    assert table.grad.abs().sum() > 0


def test_only_what_shapes_a_layers_softmax_is_recorded():
    _, gemma = records_of("Gemma 2")
    assert [record.softcap for record in gemma] == [2.0] * 3
    model, oss = records_of("gpt-oss")
    for layer, record in enumerate(oss):
        assert record.sinks is model.model.layers[layer].self_attn.sinks
    _, llama = records_of("Llama")
    for record in llama:
        assert record.softcap is record.sinks is record.bias is None


def test_grouped_keys_are_not_repeated():
    for name in ("Llama", "Qwen3", "Gemma 2", "gpt-oss"):
        _, records = records_of(name, values=True)
        assert records[0].query.shape[1] == 4
        assert records[0].key.shape[1] == records[0].value.shape[1] == 2


def test_windows_differ_between_layers():
    for name in ("Qwen3", "Gemma 2", "Gemma 3"):
        _, records = records_of(name, "none")
        keys_seen = [(record.attention_probs()[0, 0, -1] > 0).sum().item() for record in records]
        assert keys_seen == [4, 11, 4]


def test_stacks_and_kinds_of_an_encoder_decoder():
    for name in ("T5", "BART", "Pegasus", "EncoderDecoderModel", "Whisper"):
        model, records = records_of(name)
        groups = {}
        for record in records:
            groups.setdefault((record.stack, record.kind), []).append(record.layer)
        encoder, decoder = (3, 2) if name in ("T5", "EncoderDecoderModel") else (2, 3)
        assert groups == {
            ("encoder", "self"): list(range(encoder)),
            ("decoder", "self"): list(range(decoder)),
            ("decoder", "cross"): list(range(decoder)),
        }
        with capture(model, {("decoder", "cross"): [1]}) as records:
            model(**tiny_model(family(name))[1])
        assert [(record.stack, record.kind, record.layer) for record in records] == [
            ("decoder", "cross", 1)
        ]


def test_cross_attention_masks_the_encoders_padding_and_no_query():
    model, batch = tiny_model(family("BART"))
    # As data collators give it: labels, and no decoder mask.
    del batch["decoder_attention_mask"]
    with torch.no_grad(), capture(model, {("decoder", "cross"): [0]}) as records:
        model(**batch)
    probs = records[0].attention_probs()
    assert probs.shape == (3, 3, 7, 11)
    assert torch.equal(records[0].mask.key_valid, batch["attention_mask"].bool())
    assert (probs[batch["attention_mask"][:, None, None].expand_as(probs) == 0] == 0).all()
    torch.testing.assert_close(probs.sum(-1), torch.ones(3, 3, 7))


@pytest.mark.parametrize("name", ["Llama", "T5", "BLOOM", "DeBERTa-v2, v3", "GPT-J"])
def test_gradients_are_exact_under_non_reentrant_checkpointing(name):
    gradients = []
    for checkpointing in (False, True):
        model, batch = tiny_model(family(name))
        model.train()
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        torch.manual_seed(5)
        with capture(model) as records:
            run_model(model, batch)
        sum(record.attention_probs().square().sum() for record in records).backward()
        gradients.append(flat_gradient(model))
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-6)


def test_layerdrop_is_an_error_that_names_the_fix():
    model, batch = tiny_model(family("BART"))
    model.model.encoder.layerdrop = 1.0
    model.train()
    with pytest.raises(InputError, match=r"encoder self 0.*layerdrop.*set it to 0"), capture(model):
        model(**batch)


@pytest.mark.parametrize(
    "name", ["BERT", "Llama", "Gemma 2", "T5", "gpt-oss", "ViT", "DeBERTa-v2, v3", "BLOOM"]
)
def test_a_bf16_model_is_captured_in_bf16(name):
    """Probabilities are computed in fp32, so they differ from eager's by bf16 rounding only."""
    model, batch = tiny_model(family(name), "none")
    model = model.bfloat16()
    batch = {
        column: part.bfloat16() if part.is_floating_point() else part
        for column, part in batch.items()
    }
    use(model, "eager")
    with torch.no_grad(), capture(model) as records:
        model(**batch)
    with torch.no_grad():
        expected = returned_probs(model, batch)
    for record in records:
        assert record.query.dtype == record.key.dtype == torch.bfloat16
        probs = expected[record.stack, record.kind][record.layer]
        assert probs.dtype == torch.bfloat16
        # Scores of a few units are rounded to 8 bits before eager's softmax.
        assert (record.attention_probs() - probs.float()).abs().max() <= 2**-6


@pytest.mark.parametrize("name", ["Llama", "T5", "GPT-2"])
def test_nothing_is_recorded_in_generate(name):
    model, batch = tiny_model(family(name), "left")
    inputs = {column: batch[column] for column in ("input_ids", "attention_mask")}
    expected = model.generate(**inputs, max_new_tokens=3, do_sample=False)
    with capture(model) as records:
        assert torch.equal(model.generate(**inputs, max_new_tokens=3, do_sample=False), expected)
        assert records == []
        model(**batch)
        assert records


def test_prefix_tuning_adds_keys():
    peft = pytest.importorskip("peft")
    model, batch = tiny_model(family("Llama"), "left")
    prefix = peft.PrefixTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM")
    tuned = peft.get_peft_model(model, prefix).eval()
    use(model, "eager")
    with torch.no_grad(), capture(tuned) as records:
        expected = tuned(**batch, output_attentions=True).attentions
    real = batch["attention_mask"].bool()
    for record, probs in zip(records, expected, strict=True):
        assert (record.query.shape[2], record.key.shape[2]) == (11, 15)
        difference = (record.attention_probs() - probs).abs().movedim(1, 2)[real]
        assert difference.max() <= 1e-6


LORA = ["BERT", "ALBERT", "Llama", "T5", "BART", "MPNet", "DeBERTa", "DeBERTa-v2, v3", "GPT-J"]


@pytest.mark.parametrize("name", LORA)
def test_capture_through_lora(name):
    peft = pytest.importorskip("peft")
    model, batch = tiny_model(family(name))
    with torch.no_grad(), capture(model) as plain:
        model(**batch)
    adapted = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules="all-linear"))
    with capture(adapted) as records:
        adapted(**batch)
    groups = [(record.stack, record.kind, record.layer) for record in plain]
    assert [(record.stack, record.kind, record.layer) for record in records] == groups
    # A fresh adapter changes nothing.
    for record, other in zip(records, plain, strict=True):
        assert torch.equal(record.query, other.query)
    sum(record.attention_probs().square().sum() for record in records).backward()
    adapters = [part for part, weight in adapted.named_parameters() if weight.grad is not None]
    assert adapters
    assert all("lora_" in part for part in adapters)


SLOWLY_COMPILED = ["Llama", "T5", "ALBERT", "MPNet", "BLOOM", "DeBERTa"]


@pytest.mark.parametrize(
    "name", ["BERT", *(pytest.param(n, marks=pytest.mark.slow) for n in SLOWLY_COMPILED)]
)
def test_capture_in_a_compiled_model(name):
    model, batch = tiny_model(family(name))
    compiled = torch.compile(model, backend="eager")
    other = {column: part[:2] for column, part in batch.items()}
    for inputs in (batch, other, batch):
        with torch.no_grad(), capture(model) as plain:
            run_model(model, inputs)
        # A compiled forward is reused by later contexts: it must fill theirs.
        with torch.no_grad(), capture(compiled) as records:
            run_model(compiled, inputs)
        assert len(records) == len(plain) > 0
        for record, same in zip(records, plain, strict=True):
            torch.testing.assert_close(record.attention_probs(), same.attention_probs())
    with capture(compiled) as records:
        run_model(compiled, batch)
    sum(record.attention_probs().square().sum() for record in records).backward()
    assert flat_gradient(model).any()
    torch._dynamo.reset()
