"""Attention and relation terms against dense formulas on eager maps, for every kind of group."""

import pytest
import torch
from tiny import (
    make_batch,
    make_bert,
    make_llama,
    make_seq2seq,
    make_seq2seq_batch,
    make_text_batch,
)
from transformers import ViTConfig, ViTForImageClassification

from attndistill import AttentionTerm, Distiller, Objective, RelationTerm
from attndistill.capture import capture
from attndistill.capture.forward import run_model
from attndistill.errors import InputError

GROUPS = {
    "encoder": {"stack": "encoder"},
    "decoder": {"stack": "decoder"},
    "cross": {"stack": "decoder", "cross": True},
}


def readings(student, teacher, batch, layer_map="uniform", **terms):
    distiller = Distiller(student, teacher, objective=Objective(terms), layer_map=layer_map)
    return distiller.read_terms(batch)


def row_kl(ours, theirs):
    return (torch.xlogy(theirs, theirs) - torch.xlogy(theirs, ours)).sum(-1)


def eager_maps(model, batch):
    """Attention maps by group, computed by the model itself."""
    model.eval().set_attn_implementation("eager")
    with torch.no_grad():
        output = model(**batch, output_attentions=True)
    model.set_attn_implementation("sdpa")
    if "attentions" in output:
        return {"self": output.attentions}
    return {
        "encoder": output.encoder_attentions,
        "decoder": output.decoder_attentions,
        "cross": output.cross_attentions,
    }


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_every_group_of_a_seq2seq_model_is_the_dense_kl(family):
    student, teacher = make_seq2seq(family, 2, seed=1), make_seq2seq(family, 4, seed=2)
    batch = make_seq2seq_batch([9, 4, 6], [5, 8, 3])
    values = readings(
        student, teacher, batch, **{name: AttentionTerm(**group) for name, group in GROUPS.items()}
    )
    ours, theirs = eager_maps(student, batch), eager_maps(teacher, batch)
    for name, pairs in (
        ("encoder", [(0, 2)]),
        ("decoder", [(0, 1), (1, 3)]),
        ("cross", [(0, 1), (1, 3)]),
    ):
        rows = batch["attention_mask"].bool() if name == "encoder" else batch["labels"] != -100
        kls = [row_kl(ours[name][s], theirs[name][t]).mean(1)[rows].mean() for s, t in pairs]
        assert values[name].value == pytest.approx(float(sum(kls)) / len(kls), rel=1e-4)
        assert values[name].gradient_norm > 0


@pytest.mark.parametrize("kind", ["kl", "score_mse"])
@pytest.mark.parametrize("family", ["bart", "t5"])
def test_seq2seq_terms_ignore_padding(family, kind):
    student, teacher = make_seq2seq(family, 2, seed=1), make_seq2seq(family, 3, seed=2)
    terms = {name: AttentionTerm(kind=kind, **group) for name, group in GROUPS.items()}
    plain = readings(student, teacher, make_seq2seq_batch([9, 4], [5, 8]), **terms)
    padded = readings(student, teacher, make_seq2seq_batch([9, 4], [5, 8], pad_to=13), **terms)
    for name, reading in plain.items():
        assert padded[name].value == pytest.approx(reading.value, rel=1e-5)
        assert padded[name].gradient_norm == pytest.approx(reading.gradient_norm, rel=1e-4)


def test_score_mse_is_the_mean_over_visible_pairs():
    student, teacher = make_llama(1, seed=1), make_llama(1, seed=2)
    batch = make_text_batch([9, 4])
    reading = readings(student, teacher, batch, a=AttentionTerm(kind="score_mse"))["a"]
    differences, pairs = 0.0, 0
    scores = []
    for model in (student, teacher):
        with capture(model) as records, torch.no_grad():
            run_model(model.eval(), batch)
        record = records[0]
        scores.append(record.scale * record.query @ record.key.repeat_interleave(2, 1).mT)
    for row, length in enumerate((9, 4)):
        visible = torch.ones(length, length).tril().bool()
        gap = (scores[0] - scores[1])[row, :, :length, :length].square()
        differences += float(gap[:, visible].sum())
        pairs += 4 * int(visible.sum())
    assert reading.value == pytest.approx(differences / pairs, rel=1e-4)


def test_decoders_may_be_padded_on_the_left():
    student, teacher = make_llama(2, seed=1), make_llama(2, seed=2)
    for kind in ("kl", "score_mse"):
        term = AttentionTerm(kind=kind)
        right = readings(student, teacher, make_text_batch([9, 4]), a=term)["a"]
        left = readings(student, teacher, make_text_batch([9, 4], pad_to=12, side="left"), a=term)
        assert left["a"].value == pytest.approx(right.value, rel=1e-4)


def make_vit(layers, seed):
    torch.manual_seed(seed)
    return ViTForImageClassification(
        ViTConfig(
            hidden_size=24,
            num_hidden_layers=layers,
            num_attention_heads=3,
            intermediate_size=33,
            image_size=12,
            patch_size=4,
            initializer_range=0.2,
        )
    )


def test_images_count_as_one_item_each():
    student, teacher = make_vit(1, seed=1), make_vit(1, seed=2)
    batch = {"pixel_values": torch.randn(3, 3, 12, 12)}
    term = AttentionTerm()
    assert term.fitted(student, teacher, "uniform").count(batch) == 3
    reading = readings(student, teacher, batch, a=term)["a"]
    ours, theirs = eager_maps(student, batch)["self"], eager_maps(teacher, batch)["self"]
    assert reading.value == pytest.approx(float(row_kl(ours[0], theirs[0]).mean()), rel=1e-4)


def test_terms_have_layer_maps_of_their_own():
    student, teacher = make_bert(2, seed=1), make_bert(4, seed=2)
    batch = make_batch([9, 4])
    by_pair = {
        f"{s}{t}": readings(student, teacher, batch, a=AttentionTerm(layers=[[s, t]]))["a"].value
        for s, t in ((0, 0), (1, 2), (0, 3))
    }
    terms = {"a": AttentionTerm(layers=[[0, 0], [1, 2]]), "b": AttentionTerm()}
    both = readings(student, teacher, batch, layer_map=[[0, 3]], **terms)
    assert both["a"].value == pytest.approx((by_pair["00"] + by_pair["12"]) / 2, rel=1e-5)
    assert both["b"].value == pytest.approx(by_pair["03"], rel=1e-5)


def test_fewer_heads_learn_from_averages():
    student = make_bert(2, seed=1, hidden_size=20, num_attention_heads=2)
    teacher = make_bert(2, seed=2, num_attention_heads=6)
    batch = make_batch([9, 4])
    reading = readings(student, teacher, batch, a=AttentionTerm(heads="average"))["a"]
    ours, theirs = eager_maps(student, batch)["self"], eager_maps(teacher, batch)["self"]
    rows = batch["attention_mask"].bool()
    kls = [
        row_kl(s, t.unflatten(1, (2, 3)).mean(2)).mean(1)[rows].mean()
        for s, t in zip(ours, theirs, strict=True)
    ]
    assert reading.value == pytest.approx(float(sum(kls) / 2), rel=1e-4)
    with pytest.raises(InputError, match="set heads to average or relation"):
        readings(student, teacher, batch, a=AttentionTerm())


def test_grouped_query_students_learn_from_averages_and_relations():
    student = make_llama(1, seed=1, num_attention_heads=2, num_key_value_heads=1)
    teacher = make_llama(2, seed=2, num_attention_heads=6, num_key_value_heads=3)
    values = readings(
        student,
        teacher,
        make_text_batch([9, 4]),
        average=AttentionTerm(heads="average"),
        relation=AttentionTerm(heads="relation", relation_heads=4),
        relations=RelationTerm(),
    )
    assert all(value.gradient_norm > 0 for value in values.values())


def features(tensor, cut):
    """[B, H, N, D] to [B, cut, N, H·D / cut]."""
    flat = tensor.transpose(1, 2).flatten(2)
    return torch.stack(flat.chunk(cut, -1), 1)


def test_relations_are_minilms():
    """Queries, keys and values of widths 24 and 40 in 4 relation heads, layer 1 from layer 2."""
    student = make_bert(2, seed=1)
    teacher = make_bert(3, seed=2, hidden_size=40, num_attention_heads=5)
    batch = make_batch([9, 4])
    term = RelationTerm(relation_heads=4, layers=[[1, 2]])
    value = readings(student, teacher, batch, a=term)["a"].value
    sides = []
    for model, layer in ((student, 1), (teacher, 2)):
        with capture(model, [layer], values=True) as records, torch.no_grad():
            run_model(model.eval(), batch)
        sides.append(records[0])
    rows = batch["attention_mask"].bool()
    kls = []
    for name in ("query", "key", "value"):
        maps = []
        for side in sides:
            heads = features(getattr(side, name), 4)
            scores = heads @ heads.mT / heads.shape[-1] ** 0.5
            maps.append(scores.masked_fill(~rows[:, None, None], float("-inf")).softmax(-1))
        kls.append(row_kl(*maps).mean(1)[rows].mean())
    assert value == pytest.approx(float(sum(kls)) / 3, rel=1e-4)


def test_relations_reach_what_they_are_made_of():
    student, teacher = make_bert(1, seed=1), make_bert(1, seed=2)
    objective = Objective({"a": RelationTerm(relations=("value",))})
    Distiller(student, teacher, objective=objective).loss(make_batch([5, 3])).backward()
    reached = {n for n, p in student.named_parameters() if p.grad is not None and p.grad.any()}
    assert any(name.endswith("value.weight") for name in reached)
    assert not any(name.endswith(("query.weight", "key.weight")) for name in reached)


def test_t5s_position_bias_has_no_relation_heads():
    student, teacher = make_seq2seq("t5", 2), make_seq2seq("t5", 3)
    term = AttentionTerm(stack="encoder", heads="relation")
    with pytest.raises(InputError, match="position bias"):
        readings(student, teacher, make_seq2seq_batch([5], [4]), a=term)
