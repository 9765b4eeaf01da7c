"""Tiny hybrids: models with layers that have no attention between those that have it."""

import torch
import transformers as hf
from capture.families import DECODER

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


def make_hybrid(name):
    """With noisy weights, so that attention is far from even."""
    torch.manual_seed(0)
    model = HYBRIDS[name]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model
