"""What is not captured is named; the layers with attention are numbered without the others."""

import pytest
import torch
import transformers as hf
from capture.families import family, tiny_model
from capture.hybrids import HYBRIDS, make_hybrid

from attndistill.capture import attention_layers, capture, skipped_parts


@pytest.mark.filterwarnings("ignore:.*have no attention")
@pytest.mark.parametrize("name", HYBRIDS)
def test_skipped_layers_are_named_and_the_others_equal_eager(name):
    model = make_hybrid(name)
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


def test_linear_attention_layers_are_named():
    model, _ = tiny_model(family("Qwen3-Next"))
    with pytest.warns(UserWarning, match=r"layers 0 \(linear_attention\), 2 \(linear_attention\)"):
        layers = attention_layers(model)
    assert [layer.layer for layer in layers] == [0]
    assert ".1." in layers[0].name


def test_attention_modules_that_are_not_captured_are_named():
    sizes = {"d_model": 12, "d_kv": 4, "d_ff": 9, "num_heads": 3, "num_layers": 1}
    model = hf.LongT5Model(hf.LongT5Config(vocab_size=31, **sizes))
    with pytest.warns(UserWarning, match=r"encoder\.block\.0.*outside.*not captured"):
        layers = attention_layers(model)
    assert {layer.stack for layer in layers} == {"decoder"}
