"""Every model family that capture is checked on, tiny: the table behind the tests and the docs.

Sizes are odd on purpose and the weights noisy, so that attention is far from even; key heads are
shared where the family allows it; windows, softcaps and sinks are so small that they matter.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass

import torch
import transformers as hf
from tiny import make_batch
from torch import Tensor

LENGTHS = {"none": [11, 11, 11], "right": [11, 5, 7], "left": [11, 5, 7]}
TARGET_LENGTHS = {"none": [7, 7, 7], "right": [7, 3, 6], "left": [7, 3, 6]}

SPECIAL = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
SIZES = {
    "hidden_size": 24,
    "num_attention_heads": 3,
    "num_hidden_layers": 3,
    "intermediate_size": 33,
}
ENCODER = {**SIZES, "vocab_size": 97, "max_position_embeddings": 64, "pad_token_id": 0}
DECODER = {
    **ENCODER,
    **SPECIAL,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 6,
}
# Experts are multiplied in groups, in steps of 16 bytes.
MIXTURE = {**DECODER, "intermediate_size": 40, "num_local_experts": 2}
GPT = {
    **SPECIAL,
    "vocab_size": 97,
    "hidden_size": 24,
    "num_attention_heads": 3,
    "num_hidden_layers": 3,
}
DISENTANGLED = {
    "relative_attention": True,
    "pos_att_type": "c2p|p2c",
    "position_biased_input": False,
    "max_relative_positions": 9,
}
ALTERNATING = ["sliding_attention", "full_attention", "sliding_attention"]
SEQ2SEQ = {
    **SPECIAL,
    "vocab_size": 97,
    "d_model": 24,
    "encoder_layers": 2,
    "decoder_layers": 3,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 33,
    "decoder_ffn_dim": 33,
    "decoder_start_token_id": 1,
    "forced_eos_token_id": None,
}
IMAGE = {**SIZES, "image_size": 12, "patch_size": 4, "num_labels": 2}

Batch = dict[str, Tensor]


def classes(padding: str) -> Batch:
    return make_batch(LENGTHS[padding], side=side(padding))


def text(padding: str) -> Batch:
    batch = classes(padding)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    return {**batch, "labels": labels}


def text_to_text(padding: str) -> Batch:
    return {**classes(padding), **targets(padding)}


def speech_to_text(padding: str) -> Batch:
    return {"input_features": torch.randn(3, 5, 18), **targets(padding)}


def images(padding: str) -> Batch:
    return {"pixel_values": torch.randn(3, 3, 12, 12), "labels": torch.tensor([0, 1, 0])}


def images_and_text(padding: str) -> Batch:
    batch = classes(padding)
    return {
        "input_ids": batch["input_ids"],
        "attention_mask": batch["attention_mask"],
        "pixel_values": torch.randn(3, 3, 12, 12),
    }


def targets(padding: str) -> Batch:
    batch = make_batch(TARGET_LENGTHS[padding], side=side(padding), seed=1)
    mask = batch["attention_mask"]
    return {
        "labels": batch["input_ids"].masked_fill(mask == 0, -100),
        "decoder_attention_mask": mask,
    }


def side(padding: str) -> str:
    return "left" if padding == "left" else "right"


@dataclass(frozen=True, eq=False)
class Family:
    """One architecture in its smallest form.

    Attributes:
        name: as its users call it.
        model: the class that is built.
        inputs: makes a batch that it trains on, padded as told.
        config: makes its configuration.
        implementations: the attention implementations it runs under on a CPU.
        paddings: how its inputs may be padded.
        noise: spread of the noise on the weights: enough for attention far from even.
        note: what is special, for the support page.
    """

    name: str
    model: type[hf.PreTrainedModel]
    inputs: Callable[[str], Batch]
    config: Callable[[], hf.PreTrainedConfig]
    _: KW_ONLY
    implementations: tuple[str, ...] = ("sdpa", "eager")
    paddings: tuple[str, ...] = ("none", "right", "left")
    noise: float = 0.2
    note: str = ""


def bert_to_bert() -> hf.EncoderDecoderConfig:
    return hf.EncoderDecoderConfig.from_encoder_decoder_configs(
        hf.BertConfig(**ENCODER),
        hf.BertConfig(**ENCODER | {"num_hidden_layers": 2}),
        decoder_start_token_id=1,
        pad_token_id=0,
    )


def clip() -> hf.CLIPConfig:
    text = {**ENCODER, **SPECIAL}
    return hf.CLIPConfig(text_config=text, vision_config=IMAGE, projection_dim=16)


FAMILIES = [
    Family("BERT", hf.BertForSequenceClassification, classes, lambda: hf.BertConfig(**ENCODER)),
    Family(
        "RoBERTa",
        hf.RobertaForSequenceClassification,
        classes,
        lambda: hf.RobertaConfig(**ENCODER),
    ),
    Family(
        "DistilBERT",
        hf.DistilBertForSequenceClassification,
        classes,
        lambda: hf.DistilBertConfig(
            vocab_size=97, dim=24, n_heads=3, hidden_dim=33, n_layers=3, max_position_embeddings=64
        ),
    ),
    Family(
        "ELECTRA",
        hf.ElectraForSequenceClassification,
        classes,
        lambda: hf.ElectraConfig(**ENCODER, embedding_size=16),
    ),
    Family(
        "ALBERT",
        hf.AlbertForSequenceClassification,
        classes,
        lambda: hf.AlbertConfig(
            **ENCODER | {"num_hidden_layers": 4},
            embedding_size=16,
            num_hidden_groups=2,
            inner_group_num=2,
        ),
        note="shared layers are numbered in the order of their calls",
    ),
    Family(
        "ModernBERT",
        hf.ModernBertForSequenceClassification,
        classes,
        # Local attention in all layers but the first; 6 is a window of 3 keys on each side.
        lambda: hf.ModernBertConfig(
            **ENCODER,
            bos_token_id=1,
            eos_token_id=2,
            cls_token_id=3,
            sep_token_id=4,
            local_attention=6,
        ),
        note="local attention in some layers",
    ),
    Family(
        "MPNet",
        hf.MPNetForSequenceClassification,
        classes,
        lambda: hf.MPNetConfig(**ENCODER),
        implementations=("eager",),
        note="by hooks; relative position bias, with its gradient",
    ),
    Family(
        "DeBERTa",
        hf.DebertaForSequenceClassification,
        classes,
        lambda: hf.DebertaConfig(**ENCODER, **DISENTANGLED),
        implementations=("eager",),
        note="by hooks; scores with positions are a dense bias, with its gradient",
    ),
    Family(
        "DeBERTa-v2, v3",
        hf.DebertaV2ForSequenceClassification,
        classes,
        lambda: hf.DebertaV2Config(
            **ENCODER,
            **DISENTANGLED,
            position_buckets=5,
            share_att_key=True,
            norm_rel_ebd="layer_norm",
        ),
        implementations=("eager",),
        note="by hooks; scores with positions are a dense bias, with its gradient",
    ),
    Family("GPT-2", hf.GPT2LMHeadModel, text, lambda: hf.GPT2Config(**GPT)),
    Family(
        "GPT-NeoX",
        hf.GPTNeoXForCausalLM,
        text,
        lambda: hf.GPTNeoXConfig(**GPT | {"intermediate_size": 33, "hidden_size": 48}),
    ),
    Family(
        "OPT",
        hf.OPTForCausalLM,
        text,
        lambda: hf.OPTConfig(**GPT, ffn_dim=33, max_position_embeddings=64),
    ),
    Family("Llama", hf.LlamaForCausalLM, text, lambda: hf.LlamaConfig(**DECODER)),
    Family(
        "Qwen3",
        hf.Qwen3ForCausalLM,
        text,
        lambda: hf.Qwen3Config(
            **DECODER, use_sliding_window=True, sliding_window=4, layer_types=ALTERNATING
        ),
        note="sliding window in some layers",
    ),
    Family(
        "Gemma 2",
        hf.Gemma2ForCausalLM,
        text,
        lambda: hf.Gemma2Config(
            **DECODER,
            query_pre_attn_scalar=6,
            sliding_window=4,
            layer_types=ALTERNATING,
            attn_logit_softcapping=2.0,
        ),
        implementations=("eager",),
        note="softcap; sliding window in some layers; Transformers has no SDPA for it",
    ),
    Family(
        "Gemma 3",
        hf.Gemma3ForCausalLM,
        text,
        lambda: hf.Gemma3TextConfig(
            **DECODER, query_pre_attn_scalar=6, sliding_window=4, layer_types=ALTERNATING
        ),
        note="sliding window in some layers",
    ),
    Family(
        "Phi-3",
        hf.Phi3ForCausalLM,
        text,
        lambda: hf.Phi3Config(
            **{k: v for k, v in DECODER.items() if k != "head_dim"}, sliding_window=4
        ),
        note="sliding window",
    ),
    Family("SmolLM3", hf.SmolLM3ForCausalLM, text, lambda: hf.SmolLM3Config(**DECODER)),
    Family(
        "Mixtral",
        hf.MixtralForCausalLM,
        text,
        lambda: hf.MixtralConfig(**MIXTURE, sliding_window=4),
        note="sliding window",
    ),
    Family(
        "gpt-oss",
        hf.GptOssForCausalLM,
        text,
        lambda: hf.GptOssConfig(**MIXTURE, num_experts_per_tok=1, sliding_window=4),
        implementations=("eager",),
        note="sinks; sliding window in some layers; Transformers has no SDPA for it",
    ),
    Family(
        "Qwen3-Next",
        hf.Qwen3NextForCausalLM,
        text,
        lambda: hf.Qwen3NextConfig(
            **DECODER,
            layer_types=["linear_attention", "full_attention", "linear_attention"],
            linear_key_head_dim=6,
            linear_value_head_dim=6,
            linear_num_key_heads=2,
            linear_num_value_heads=2,
            num_experts=2,
            num_experts_per_tok=1,
            moe_intermediate_size=12,
            shared_expert_intermediate_size=12,
        ),
        note="hybrid: linear-attention layers are skipped, with a warning naming them",
    ),
    Family(
        "Falcon",
        hf.FalconForCausalLM,
        text,
        lambda: hf.FalconConfig(
            **GPT | {"num_attention_heads": 4}, new_decoder_architecture=True, num_kv_heads=2
        ),
        note="by hooks; those with rotary positions",
    ),
    Family(
        "BLOOM",
        hf.BloomForCausalLM,
        text,
        lambda: hf.BloomConfig(**SPECIAL, vocab_size=97, hidden_size=24, n_layer=3, n_head=3),
        implementations=("eager",),
        note="by hooks; ALiBi is a bias",
    ),
    Family(
        "GPT-J",
        hf.GPTJForCausalLM,
        text,
        lambda: hf.GPTJConfig(
            **SPECIAL, vocab_size=97, n_embd=24, n_layer=3, n_head=3, n_positions=64, rotary_dim=4
        ),
        implementations=("eager",),
        note="by hooks",
    ),
    Family(
        "T5",
        hf.T5ForConditionalGeneration,
        text_to_text,
        lambda: hf.T5Config(
            **SPECIAL,
            vocab_size=97,
            d_model=24,
            d_kv=7,
            d_ff=33,
            num_heads=3,
            num_layers=3,
            num_decoder_layers=2,
            decoder_start_token_id=0,
        ),
        noise=0.1,
        note="relative position bias, with its gradient",
    ),
    Family("BART", hf.BartForConditionalGeneration, text_to_text, lambda: hf.BartConfig(**SEQ2SEQ)),
    Family(
        "Pegasus",
        hf.PegasusForConditionalGeneration,
        text_to_text,
        lambda: hf.PegasusConfig(**SEQ2SEQ),
    ),
    Family(
        "EncoderDecoderModel",
        hf.EncoderDecoderModel,
        text_to_text,
        bert_to_bert,
        note="BERT to BERT",
    ),
    Family(
        "Whisper",
        hf.WhisperForConditionalGeneration,
        speech_to_text,
        lambda: hf.WhisperConfig(
            **SEQ2SEQ, num_mel_bins=5, max_source_positions=9, max_target_positions=64
        ),
        paddings=("none", "right"),
        note="its encoder has no padding mask",
    ),
    Family(
        "ViT",
        hf.ViTForImageClassification,
        images,
        lambda: hf.ViTConfig(**IMAGE),
        paddings=("none",),
    ),
    Family(
        "DeiT",
        hf.DeiTForImageClassification,
        images,
        lambda: hf.DeiTConfig(**IMAGE),
        paddings=("none",),
    ),
    Family("CLIP", hf.CLIPModel, images_and_text, clip, note="stacks text and vision"),
]


# Families that are refused: what their message says, and the smallest of them.
REFUSED = {
    "Falcon with ALiBi": (
        "once under sdpa and twice under eager; use a Falcon with rotary positions",
        hf.FalconForCausalLM,
        lambda: hf.FalconConfig(**GPT, alibi=True),
    ),
    "DeBERTa with talking heads": (
        "mixed between heads; use DeBERTa without",
        hf.DebertaModel,
        lambda: hf.DebertaConfig(**ENCODER, talking_head=True),
    ),
    "XLNet": (
        "XLNetModel has no attention that capture can see",
        hf.XLNetModel,
        lambda: hf.XLNetConfig(vocab_size=97, d_model=24, n_layer=1, n_head=3, d_inner=33),
    ),
    "Longformer": (
        "LongformerModel has no attention that capture can see",
        hf.LongformerModel,
        lambda: hf.LongformerConfig(**ENCODER, attention_window=4),
    ),
    "BigBird": (
        "BigBirdModel has no attention that capture can see",
        hf.BigBirdModel,
        lambda: hf.BigBirdConfig(**ENCODER),
    ),
    "Mamba": (
        "MambaModel has no attention that capture can see",
        hf.MambaModel,
        lambda: hf.MambaConfig(vocab_size=97, hidden_size=24, num_hidden_layers=1, state_size=3),
    ),
}


def family(name: str) -> Family:
    """The family of that name."""
    return next(family for family in FAMILIES if family.name == name)


def tiny_model(family: Family, padding: str = "right") -> tuple[hf.PreTrainedModel, Batch]:
    """A seeded model in evaluation mode, and a batch of three examples with labels.

    ``padding`` is ``"none"`` (examples of equal length), ``"right"`` or ``"left"``.
    """
    torch.manual_seed(0)
    model = family.model(family.config())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(family.noise * torch.randn_like(parameter))
    return model.eval(), family.inputs(padding)
