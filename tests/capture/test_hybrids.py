"""Hybrids: layers without attention are skipped, by name; the others are numbered without them."""

import pytest
import torch
import transformers as hf
from capture.families import DECODER

from attndistill import build_student
from attndistill.capture import attention_layers, capture, skipped_parts
from attndistill.errors import InputError
from attndistill.matching import match_layers

# Experts are multiplied in steps of 16 bytes.
SIZES = {**DECODER, "num_hidden_layers": 4, "intermediate_size": 40}
HEADED = {name: value for name, value in SIZES.items() if name != "head_dim"}
ALTERNATING = ["linear_attention", "full_attention"] * 2
MAMBA = {"mamba_n_heads": 4, "mamba_d_head": 12, "mamba_n_groups": 1, "mamba_d_state": 4}
DELTA = {
    "linear_num_key_heads": 2,
    "linear_num_value_heads": 2,
    "linear_key_head_dim": 6,
    "linear_value_head_dim": 6,
}
JAMBA = {
    "attn_layer_period": 2,
    "attn_layer_offset": 1,
    "num_experts": 1,
    "mamba_d_state": 4,
    "mamba_dt_rank": 4,
}

HYBRIDS = {
    "Jamba": lambda: hf.JambaForCausalLM(hf.JambaConfig(**HEADED, **JAMBA)),
    "Bamba": lambda: hf.BambaForCausalLM(
        hf.BambaConfig(**HEADED, **MAMBA, attn_layer_indices=[1, 3])
    ),
    "Granite": lambda: hf.GraniteMoeHybridForCausalLM(
        hf.GraniteMoeHybridConfig(
            **HEADED,
            **MAMBA,
            layer_types=ALTERNATING,
            num_local_experts=2,
            num_experts_per_tok=1,
            shared_intermediate_size=32,
        )
    ),
    "LFM2": lambda: hf.Lfm2ForCausalLM(
        hf.Lfm2Config(**HEADED, layer_types=["conv", "full_attention"] * 2)
    ),
    "RecurrentGemma": lambda: hf.RecurrentGemmaForCausalLM(
        hf.RecurrentGemmaConfig(
            **HEADED,
            block_types=["recurrent", "attention"],
            attention_window_size=8,
            lru_width=24,
        )
    ),
    "MiniMax": lambda: hf.MiniMaxForCausalLM(
        hf.MiniMaxConfig(**SIZES, layer_types=ALTERNATING, num_local_experts=2, block_size=4)
    ),
    "OLMo hybrid": lambda: hf.OlmoHybridForCausalLM(
        hf.OlmoHybridConfig(**HEADED, **DELTA, layer_types=ALTERNATING)
    ),
    "Qwen3.5": lambda: hf.Qwen3_5ForCausalLM(
        hf.Qwen3_5TextConfig(**SIZES, **DELTA, layer_types=ALTERNATING)
    ),
}


def make(name):
    torch.manual_seed(0)
    model = HYBRIDS[name]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.filterwarnings("ignore:.*have no attention")
@pytest.mark.parametrize("name", HYBRIDS)
def test_skipped_layers_are_named_and_the_others_equal_eager(name):
    model = make(name)
    model.set_attn_implementation("eager")
    with pytest.warns(UserWarning, match=r"layers 0 \(.*\), 2 \(.*\) have no attention") as shown:
        layers = attention_layers(model)
    # Linear attention is not named a second time, as attention that would be missing.
    assert len(shown) == 1
    names = [layer.name for layer in layers]
    assert [(layer.stack, layer.layer) for layer in layers] == [("decoder", 0), ("decoder", 1)]
    assert [next(part for part in name.split(".") if part.isdigit()) for name in names] == [
        "1",
        "3",
    ]
    assert list(skipped_parts(model, names)) == [str(shown[0].message)]
    ids = torch.randint(5, 97, (2, 9))
    with torch.no_grad(), capture(model) as records:
        maps = model(ids, output_attentions=True, use_cache=False).attentions
    # MiniMax gives a state for its linear layers too.
    maps = [each for each in maps if each is not None and each.shape[-1] == 9]
    for record, expected in zip(records, maps, strict=True):
        assert (record.attention_probs() - expected).abs().max() <= 1e-6


@pytest.mark.filterwarnings("ignore:.*have no attention")
@pytest.mark.parametrize("name", ["LFM2", "Qwen3.5", "Jamba"])
def test_a_student_keeps_both_kinds_of_layers_and_maps_the_attention_alone(name):
    teacher = make(name)
    student = build_student(teacher, keep_layers=[2, 3])
    match = match_layers(student, teacher)
    # Uniform: the student's one layer of attention learns from the teacher's last of two.
    assert match.layer_map.pairs == ((0, 1),)
    weights, kept = teacher.state_dict(), student.state_dict()
    for new, old in ((0, 2), (1, 3)):
        own = {n: w for n, w in kept.items() if f".layers.{new}." in n}
        assert own
        for path, weight in own.items():
            assert torch.equal(weight, weights[path.replace(f".{new}.", f".{old}.", 1)]), path


@pytest.mark.filterwarnings("ignore:.*have no attention")
def test_layers_that_a_config_tells_by_their_number_are_kept_in_order():
    teacher = make("Jamba")
    with pytest.raises(InputError) as caught:
        build_student(teacher, keep_layers=[1, 3])
    assert "2 layers are linear_attention, full_attention, but those kept are" in str(caught.value)
    shallow = build_student(teacher, config={"num_hidden_layers": 2})
    assert [layer.name.split(".")[2] for layer in attention_layers(shallow)] == ["1"]


@pytest.mark.filterwarnings("ignore:.*not captured")
def test_of_an_encoder_decoder_with_one_captured_stack_that_one_is_kept():
    torch.manual_seed(0)
    sizes = {"d_model": 24, "d_kv": 8, "d_ff": 33, "num_heads": 3, "local_radius": 4}
    config = hf.LongT5Config(vocab_size=97, num_layers=3, num_decoder_layers=2, **sizes)
    teacher = hf.LongT5ForConditionalGeneration(config)
    student = build_student(teacher, keep_layers={"decoder": [1]})
    assert (student.config.num_layers, student.config.num_decoder_layers) == (3, 1)
    kept = student.decoder.block[0].layer[1].EncDecAttention.q.weight
    assert torch.equal(kept, teacher.decoder.block[1].layer[1].EncDecAttention.q.weight)
    assert match_layers(student, teacher, stack="decoder", cross=True).layer_map.pairs == ((0, 1),)
    with pytest.raises(InputError, match="no encoder self-attention that can be captured"):
        match_layers(student, teacher, stack="encoder")
    with pytest.raises(InputError, match="no stack 'encoder', only decoder: those whose"):
        build_student(teacher, keep_layers={"encoder": [0]})
