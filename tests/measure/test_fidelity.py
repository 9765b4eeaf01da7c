import math
from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from metrics.answers import MATCHES, SELF
from tiny import make_bert, make_seq2seq, make_seq2seq_batch

from attndistill.errors import InputError
from attndistill.matching import GroupMatch, LayerMap, match_layers
from attndistill.measure import attention_fidelity, sample_attention
from attndistill.measure.record_pairs import HeadPairing
from attndistill.measure.sample import MAX_TOKENS


def eager_attention(model, rows, collator):
    """Transformers' own attention maps of all layers and the rows that are not padding."""
    columns = ("input_ids", "attention_mask")
    batch = collator([{name: row[name] for name in columns} for row in rows])
    copy = make_bert(
        layers=model.config.num_hidden_layers,
        num_attention_heads=model.config.num_attention_heads,
        attn_implementation="eager",
    ).eval()
    copy.load_state_dict(model.state_dict())
    with torch.no_grad():
        maps = copy(**batch, output_attentions=True).attentions
    return [probs.double() for probs in maps], batch["attention_mask"].bool()


def mean_kl(teacher, student, counted):
    """KL(teacher ‖ student) of [B, H, Q, K] maps, mean over counted rows, per head."""
    row_kl = (torch.special.xlogy(teacher, teacher) - torch.special.xlogy(teacher, student)).sum(-1)
    return (row_kl * counted[:, None]).sum((0, 2)) / counted.sum()


def test_a_copy_of_the_teacher_has_no_divergence(teacher, dataset, collator):
    layers = LayerMap(tuple((layer, layer) for layer in range(4)))
    same = [GroupMatch(student=SELF, teacher=SELF, layer_map=layers)]
    for layer in attention_fidelity(teacher, teacher, same, dataset, collator):
        assert layer.heads == (0.0, 0.0, 0.0)
        assert min(layer.uniform) > 0.01


def test_fidelity_equals_transformers_own_maps(teacher, student, dataset, collator):
    found = attention_fidelity(teacher, student, MATCHES, dataset, collator, max_rows=9)
    of_teacher, counted = eager_attention(teacher, list(dataset)[:9], collator)
    of_student, _ = eager_attention(student, list(dataset)[:9], collator)
    assert not counted.all(), "the batch must be padded for this test to say anything"
    pairs = MATCHES[0].layer_map.pairs
    for layer, (student_layer, teacher_layer) in zip(found, pairs, strict=True):
        assert (layer.student_layer, layer.teacher_layer) == (student_layer, teacher_layer)
        assert layer.rows == counted.sum()
        assert layer.pairing is HeadPairing.IDENTITY
        expected = mean_kl(of_teacher[teacher_layer], of_student[student_layer], counted)
        torch.testing.assert_close(
            torch.tensor(layer.heads).double(), expected, rtol=1e-4, atol=1e-6
        )
        even = counted[:, None, None, :] / counted.sum(-1)[:, None, None, None].double()
        expected = mean_kl(of_teacher[teacher_layer], even, counted)
        torch.testing.assert_close(
            torch.tensor(layer.uniform).double(), expected, rtol=1e-4, atol=1e-6
        )
        assert layer.mean == pytest.approx(sum(layer.heads) / 3)


def test_fidelity_does_not_depend_on_the_batches(teacher, student, dataset, collator):
    once, in_fives = (
        attention_fidelity(teacher, student, MATCHES, dataset, collator, batch_size=size)
        for size in (64, 5)
    )
    for a, b in zip(once, in_fives, strict=True):
        assert a.rows == b.rows == sum(len(tokens) for tokens in dataset["input_ids"])
        assert a.heads == pytest.approx(b.heads, rel=1e-4)


def test_other_numbers_of_heads_are_compared_by_their_mean(teacher, dataset, collator):
    wide = make_bert(layers=2, seed=3, num_attention_heads=2)
    first = attention_fidelity(teacher, wide, MATCHES, dataset, collator, max_rows=5)[0]
    of_teacher, counted = eager_attention(teacher, list(dataset)[:5], collator)
    of_student, _ = eager_attention(wide, list(dataset)[:5], collator)
    means = (of_teacher[1].mean(1, keepdim=True), of_student[0].mean(1, keepdim=True))
    assert first.pairing is HeadPairing.AVERAGE
    assert first.heads == pytest.approx(mean_kl(*means, counted).tolist(), rel=1e-4)
    even = counted[:, None, None, :] / counted.sum(-1)[:, None, None, None].double()
    assert first.uniform == pytest.approx(mean_kl(means[0], even, counted).tolist(), rel=1e-4)


def test_nothing_mapped_is_nothing_compared(teacher, student, dataset, collator):
    assert attention_fidelity(teacher, student, [], dataset, collator) == []


def test_no_rows_are_refused(teacher, student, dataset, collator):
    with pytest.raises(InputError, match="needs held-out rows"):
        attention_fidelity(teacher, student, MATCHES, dataset.select([]), collator)


def test_the_sample_is_small_and_true(teacher, student, tokenizer, texts, collator):
    batch = tokenizer(texts[0], return_tensors="pt")
    sample = sample_attention(teacher, student, MATCHES, batch, tokenizer, max_heads=2)
    ids = tokenizer(texts[0])["input_ids"]
    assert sample.tokens == tuple(tokenizer.convert_ids_to_tokens(ids))
    assert not sample.truncated
    of_teacher, _ = eager_attention(teacher, [tokenizer(texts[0])], collator)
    for layer in sample.layers:
        assert len(layer.heads) == 2
        assert layer.heads[0].kl <= layer.heads[1].kl
        for head in layer.heads:
            expected = of_teacher[layer.teacher_layer][0, head.head]
            torch.testing.assert_close(
                torch.tensor(head.teacher).double(), expected, rtol=0, atol=6e-5
            )
            assert all(round(value, 4) == value for row in head.student for value in row)


def test_sampled_heads_run_from_the_closest_to_the_furthest(teacher, student, tokenizer, texts):
    def sampled(max_heads):
        batch = tokenizer(texts[0], return_tensors="pt")
        sample = sample_attention(teacher, student, MATCHES, batch, tokenizer, max_heads=max_heads)
        return [head.kl for head in sample.layers[0].heads]

    assert sampled(9) == sorted(sampled(9))
    assert len(sampled(9)) == 3
    assert sampled(2) == [sampled(9)[0], sampled(9)[-1]]


def test_a_long_sentence_is_cut_and_says_so(teacher, student, tokenizer):
    batch = tokenizer("good film " * 29, return_tensors="pt")
    cut = sample_attention(teacher, student, MATCHES, batch, tokenizer, max_heads=1)
    assert len(cut.tokens) == MAX_TOKENS
    assert cut.truncated
    assert math.isclose(sum(cut.layers[0].heads[0].student[0]), 1.0, abs_tol=5e-3)


def test_models_are_left_as_they_were(teacher, student, dataset, collator):
    student.train()
    before = student.config._attn_implementation
    attention_fidelity(teacher, student, MATCHES, dataset, collator, max_rows=2)
    assert student.training
    assert student.config._attn_implementation == before
    student.eval()


@pytest.mark.parametrize("family", ["bart", "t5"])
def test_each_stack_of_an_encoder_decoder_is_compared_on_its_own_rows(family):
    teacher, student = (make_seq2seq(family, layers=3, seed=seed).eval() for seed in (0, 1))
    matches = [
        match_layers(student, teacher, stack=stack, cross=cross)
        for stack, cross in (("encoder", False), ("decoder", False), ("decoder", True))
    ]
    batch = make_seq2seq_batch([7, 4], [5, 3])
    rows = Dataset.from_dict({"row": [0, 1]})
    found = attention_fidelity(teacher, student, matches, rows, lambda _: batch)
    groups = ["encoder self-attention"] * 2
    groups += ["decoder self-attention"] * 3 + ["decoder cross-attention"] * 3
    assert [layer.group for layer in found] == groups
    # Padding asks nothing: 7 + 4 tokens of the input, 5 + 3 of the target.
    assert [layer.rows for layer in found] == [11, 11] + [8] * 6
    eager = {"output_attentions": True, "use_cache": False}
    outputs = []
    for model in (teacher, student):
        model.set_attn_implementation("eager")
        outputs.append(model(**batch, **eager))
    counted = batch["labels"] != -100
    expected = mean_kl(*(out.cross_attentions[1].double() for out in outputs), counted)
    torch.testing.assert_close(
        torch.tensor(found[6].heads).double(), expected, rtol=1e-4, atol=1e-6
    )
    teacher.set_attn_implementation("sdpa")
    tokens = {id_: f"t{id_}" for id_ in range(97)}
    tokenizer = SimpleNamespace(convert_ids_to_tokens=lambda ids: [tokens[id_] for id_ in ids])
    alone = make_seq2seq_batch([7], [5])
    if "decoder_input_ids" not in alone:
        alone["decoder_input_ids"] = alone["labels"].roll(1, -1)
    sample = sample_attention(teacher, student, matches, alone, tokenizer)
    shapes = [(len(layer.queries), len(layer.keys)) for layer in sample.layers]
    assert shapes == [(7, 7)] * 2 + [(5, 5)] * 3 + [(5, 7)] * 3
    for layer in sample.layers:
        matrix = torch.tensor(layer.heads[0].teacher)
        assert matrix.shape == (len(layer.queries), len(layer.keys))
