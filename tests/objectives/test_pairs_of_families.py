"""Teachers of another family than the student's, whose masks are said in other ways or see less."""

import pytest
import torch
from capture.families import family, tiny_model
from tiny import make_batch, make_bert, make_llama, make_text_batch
from transformers import MistralConfig, MistralForCausalLM

from attndistill import AttentionTerm, Distiller, Objective
from attndistill.capture import capture
from attndistill.errors import InputError
from attndistill.ops import attention_divergence

PAIRS = [
    *(("BERT", other) for other in ("DeBERTa", "DeBERTa-v2, v3", "ModernBERT", "MPNet")),
    *(("Llama", other) for other in ("Falcon", "Gemma 2", "Gemma 3", "Qwen3")),
    *(("GPT-2", other) for other in ("GPT-J", "BLOOM")),
]


def compared(student, teacher, batch, layer_map):
    """The mean KL of the paired layers, over keys that both see, by the dense reference."""
    found = []
    for model in (student, teacher):
        with torch.no_grad(), capture(model) as records:
            model(**{name: value for name, value in batch.items() if name != "labels"})
        found.append([record for record in records if record.kind == "self"])
    losses = [
        attention_divergence(
            found[0][ours].relation(),
            found[1][theirs].relation(),
            rows=batch["attention_mask"].bool(),
            masks="intersect",
            impl="reference",
        ).total
        / (found[0][ours].query.shape[1] * batch["attention_mask"].sum())
        for ours, theirs in layer_map.pairs
    ]
    return torch.stack(losses).mean()


@pytest.mark.parametrize("padding", ["none", "right"])
@pytest.mark.parametrize("reverse", [False, True], ids=["", "reversed"])
@pytest.mark.parametrize("names", PAIRS, ids="-".join)
def test_another_family_teaches(names, reverse, padding):
    (student, batch), (teacher, _) = (
        tiny_model(family(name), padding) for name in (names[::-1] if reverse else names)
    )
    distiller = Distiller(student, teacher, objective=Objective({"attention": AttentionTerm()}))
    reading = distiller.read_terms(batch)["attention"]
    layer_map = distiller.plan.layerwise["attention"].match.layer_map
    expected = compared(student, teacher, batch, layer_map)
    assert reading.value == pytest.approx(float(expected), rel=1e-3, abs=1e-9)
    assert reading.gradient_norm > 0


def test_a_window_beside_full_attention_compares_what_both_see():
    config = MistralConfig(
        vocab_size=97,
        hidden_size=24,
        intermediate_size=33,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=4,
        initializer_range=0.2,
    )
    teacher, student = MistralForCausalLM(config).eval(), make_llama(1, seed=2)
    batch = make_text_batch([11, 6])
    heads = {"heads": "relation"} if student.config.num_attention_heads != 4 else {}
    for masks in ("intersect", "equal"):
        objective = Objective({"attention": AttentionTerm(masks=masks, **heads)})
        distiller = Distiller(student, teacher, objective=objective)
        if masks == "intersect":
            assert distiller.read_terms(batch)["attention"].gradient_norm > 0
            continue
        with pytest.raises(ValueError, match="see different keys"):
            distiller.loss(batch)


def test_backends_may_differ_and_batches_be_padded_or_not():
    student, teacher = make_bert(2, seed=1), make_bert(4, seed=2)
    expected = Distiller(student, teacher, objective=Objective({"a": AttentionTerm()}))
    values = [float(expected.loss(make_batch(lengths)).detach()) for lengths in ([7, 7], [7, 4])]
    teacher.set_attn_implementation("eager")
    distiller = Distiller(student, teacher, objective=Objective({"a": AttentionTerm()}))
    for lengths, value in zip(([7, 7], [7, 4]), values, strict=True):
        assert float(distiller.loss(make_batch(lengths)).detach()) == pytest.approx(value, rel=1e-4)


def test_a_wrong_choice_of_masks_is_refused():
    with pytest.raises(InputError, match="masks is 'same'; choose equal, intersect"):
        AttentionTerm(masks="same")
