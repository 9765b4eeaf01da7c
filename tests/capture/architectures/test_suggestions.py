"""Families outside capture are refused by name, with supported ones of their kind.

Built from their default configurations on the meta device: it is their modules that count.
"""

import re

import pytest
import torch
import transformers as hf
from capture.families import FAMILIES
from tiny import make_llama

from attndistill.capture import attention_layers
from attndistill.capture.architectures.suggestions import (
    DECODERS,
    ENCODER_DECODERS,
    ENCODERS,
    SPEECH,
    VISION,
)
from attndistill.errors import InputError

REFUSED = {
    ENCODERS: [
        "BigBirdForSequenceClassification",
        "CanineForSequenceClassification",
        "ConvBertForSequenceClassification",
        "FNetForSequenceClassification",
        "FlaubertForSequenceClassification",
        "FunnelForSequenceClassification",
        "IBertForSequenceClassification",
        "LiltForSequenceClassification",
        "LongformerForSequenceClassification",
        "LongformerForTokenClassification",
        "LongformerModel",
        "LukeForSequenceClassification",
        "MegatronBertForSequenceClassification",
        "MraForSequenceClassification",
        "NystromformerForSequenceClassification",
        "ReformerForSequenceClassification",
        "RemBertForSequenceClassification",
        "RoFormerForSequenceClassification",
        "SqueezeBertForSequenceClassification",
        "XLMForSequenceClassification",
        "XLNetForSequenceClassification",
        "YosoForSequenceClassification",
    ],
    DECODERS: [
        "CodeGenForCausalLM",
        "CpmAntForCausalLM",
        "FalconMambaForCausalLM",
        "GPTNeoForCausalLM",
        "GPTNeoXJapaneseForCausalLM",
        "Mamba2ForCausalLM",
        "MambaForCausalLM",
        "MambaModel",
        "MptForCausalLM",
        "OpenAIGPTLMHeadModel",
        "RwkvForCausalLM",
        "XGLMForCausalLM",
        "XLNetLMHeadModel",
    ],
    ENCODER_DECODERS: [
        "FSMTForConditionalGeneration",
        "LEDForConditionalGeneration",
        "MvpForConditionalGeneration",
        "ProphetNetForConditionalGeneration",
    ],
    VISION: [
        "BitForImageClassification",
        "ConvNextForImageClassification",
        "CvtForImageClassification",
        "HieraForImageClassification",
        "LevitForImageClassification",
        "MobileViTForImageClassification",
        "PvtForImageClassification",
        "ResNetForImageClassification",
        "Swinv2ForImageClassification",
    ],
    SPEECH: ["WavLMModel", "SEWDModel"],
}


@pytest.mark.parametrize(
    ("name", "families"), [(name, kind) for kind, names in REFUSED.items() for name in names]
)
def test_a_refusal_names_what_is_supported_of_the_same_kind(name, families):
    kind = getattr(hf, name)
    with torch.device("meta"):
        model = kind(kind.config_class())
    with pytest.raises(InputError) as caught:
        attention_layers(model)
    message = str(caught.value)
    assert message.startswith(f"{name} has no attention that capture can see")
    assert f"supported models of this kind are {families}" in message


@pytest.mark.parametrize("families", [ENCODERS, DECODERS, ENCODER_DECODERS, VISION, SPEECH])
def test_what_is_named_is_checked(families):
    names = re.split(r", | or (?:, for [a-z ]+, )?|or, for [a-z ]+, ", families)
    assert {name.strip() for name in names} <= {family.name for family in FAMILIES}


def test_a_body_of_ones_own_is_told_of_every_kind():
    body = torch.nn.Sequential(torch.nn.Linear(3, 3))
    with pytest.raises(InputError, match=f"{ENCODERS}; {DECODERS}"):
        attention_layers(body)
    assert len(attention_layers(make_llama(layers=2))) == 2
