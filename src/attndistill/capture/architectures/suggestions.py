"""Which supported families do what a model does that cannot be captured."""

from typing import Any

from transformers import PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_MASKED_LM_MAPPING_NAMES,
)

ENCODERS = "BERT, RoBERTa, DistilBERT, ELECTRA or, for long texts, ModernBERT"
DECODERS = "GPT-2, GPT-NeoX, Llama, Qwen3, Gemma 3 or SmolLM3"
ENCODER_DECODERS = "BART, Pegasus or, for texts of any length, T5"
VISION = "ViT or DeiT"
SPEECH = "Whisper"


def supported_instead(model: Any) -> str:
    """What to use instead of this model: families of the same kind."""
    return f"supported models of this kind are {_families(model)}"


def _families(model: Any) -> str:
    if not isinstance(model, PreTrainedModel):
        return f"{ENCODERS}; {DECODERS}; {ENCODER_DECODERS}; {VISION}"
    if model.main_input_name == "pixel_values":
        return VISION
    if model.main_input_name in ("input_values", "input_features"):
        return SPEECH
    if model.config.is_encoder_decoder:
        return ENCODER_DECODERS
    return DECODERS if model.can_generate() or _only_writes(model) else ENCODERS


def _only_writes(model: PreTrainedModel) -> bool:
    """Whether it is the body of a family that has language models and no masked ones."""
    family = model.config.model_type
    return (
        type(model).__name__.endswith("Model")
        and family in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
        and family not in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    )
