from collections import Counter

import pytest
import torch
from tasks.language import make_seq2seq
from tiny import make_batch, make_bert, make_encoder

from attndistill import build_student
from attndistill.capture import attention_layers
from attndistill.errors import InputError


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
def test_keeping_all_layers_gives_the_teachers_outputs(family):
    teacher = make_encoder(family).eval()
    student = build_student(teacher, keep_layers=[0, 1, 2]).eval()
    batch = make_batch([7, 4])
    with torch.no_grad():
        assert torch.equal(student(**batch).logits, teacher(**batch).logits)


def test_kept_layers_carry_their_weights():
    teacher = make_bert(layers=4)
    student = build_student(teacher, keep_layers=[1, 3])
    assert student.config.num_hidden_layers == 2
    assert teacher.config.num_hidden_layers == 4
    kept = student.state_dict()
    for name, tensor in teacher.state_dict().items():
        twin = name.replace("layer.1.", "layer.0.").replace("layer.3.", "layer.1.")
        if "layer.0." not in name and "layer.2." not in name:
            assert torch.equal(kept[twin], tensor), name
    student.bert.embeddings.word_embeddings.weight.data.zero_()
    assert teacher.bert.embeddings.word_embeddings.weight.any()


def test_keeping_layers_leaves_the_random_state_alone():
    teacher = make_bert()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    build_student(teacher, keep_layers=[0])
    assert torch.equal(torch.rand(2), expected)


def test_a_student_from_a_config_is_fresh_and_keeps_the_labels():
    teacher = make_bert(id2label={0: "bad", 1: "good"}, label2id={"bad": 0, "good": 1})
    torch.manual_seed(1)
    student = build_student(teacher, config={"num_hidden_layers": 1, "hidden_size": 12})
    assert student.config.id2label == {0: "bad", 1: "good"}
    assert student.bert.embeddings.word_embeddings.weight.shape == (97, 12)
    assert len(student.bert.encoder.layer) == 1
    assert teacher.config.hidden_size == 24


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "one of keep_layers or config"),
        ({"keep_layers": [0], "config": {}}, "one of keep_layers or config"),
        ({"keep_layers": []}, "layer numbers from 0 to 2"),
        ({"keep_layers": [0, 3]}, "layer numbers from 0 to 2"),
        ({"keep_layers": [1, 0]}, "ascending"),
        ({"config": {"hiden_size": 8}}, "did you mean 'hidden_size'"),
        ({"config": {"hidden_size": 25}}, "can be built"),
        ({"config": {"hidden_act": "nonsense"}}, "can be built.*nonsense"),
        ({"config": {"pad_token_id": 999}}, "can be built"),
        ({"config": {"num_hidden_layers": 0}}, "at least 1, not 0"),
        ({"config": {"num_attention_heads": 7}}, "not a multiple of num_attention_heads 7"),
        ({"config": {"num_hidden_layers": "two"}}, "num_hidden_layers cannot be 'two'"),
        ({"config": {"vocab_size": 5}}, "vocab_size cannot be 5"),
        ({"config": {"num_labels": 7}}, "num_labels cannot be 7"),
        ({"config": {"return_dict": False}}, "return_dict cannot be False"),
    ],
)
def test_wrong_students_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        build_student(make_bert(), **arguments)


def test_a_shallower_student_has_the_types_of_the_first_layers(tmp_path):
    teacher = make_encoder("modernbert")
    student = build_student(teacher, config={"num_hidden_layers": 2})
    assert student.config.layer_types == teacher.config.layer_types[:2]
    student.save_pretrained(tmp_path)
    again = type(student).from_pretrained(tmp_path).eval()
    batch = make_batch([7, 4])
    with torch.no_grad():
        assert torch.equal(again(**batch).logits, student.eval()(**batch).logits)


@pytest.mark.parametrize(
    ("family", "arguments", "message"),
    [
        ("modernbert", {"keep_layers": [1, 2]}, "keep layer 0 too"),
        ("modernbert", {"config": {"num_hidden_layers": 5}}, "names 3 layers.*is 5"),
        ("modernbert", {"config": {"layer_types": ["full_attention"]}}, "names 1 layers.*is 3"),
        ("electra", {"config": {"hidden_size": 25}}, "not a multiple"),
        ("distilbert", {"config": {"num_hidden_layers": "two"}}, "at least 1, not 'two'"),
    ],
)
def test_what_an_architecture_cannot_do_is_refused(family, arguments, message):
    with pytest.raises(InputError, match=message):
        build_student(make_encoder(family), **arguments)


@pytest.mark.parametrize("family", ["bart", "t5", "bert2bert"])
def test_an_encoder_decoder_keeps_layers_by_stack(family):
    teacher = make_seq2seq(family, vocab_size=31, layers=4).eval()
    with pytest.raises(InputError, match=r"\{encoder: \[0, …\], decoder: \[0, …\]\}"):
        build_student(teacher, keep_layers=[0, 2])
    with pytest.raises(InputError, match="no stack 'decodr', only encoder, decoder"):
        build_student(teacher, keep_layers={"decodr": [0]})
    with pytest.raises(InputError, match="0 to 3 .the teacher has 4 layers of the decoder."):
        build_student(teacher, keep_layers={"decoder": [4]})
    student = build_student(teacher, keep_layers={"decoder": [1, 3]})
    groups = Counter((layer.stack, layer.kind) for layer in attention_layers(student))
    assert groups == {("encoder", "self"): 4, ("decoder", "self"): 2, ("decoder", "cross"): 2}
    assert student.generation_config.to_dict() == teacher.generation_config.to_dict()
    all_kept = build_student(
        teacher, keep_layers={"encoder": [0, 1, 2, 3], "decoder": [0, 1, 2, 3]}
    )
    batch = {"input_ids": torch.tensor([[5, 6, 7]]), "labels": torch.tensor([[8, 1]])}
    torch.testing.assert_close(all_kept.eval()(**batch).logits, teacher(**batch).logits)


def test_t5_keeps_the_position_bias_that_only_its_first_layer_has():
    teacher = make_seq2seq("t5", vocab_size=31, layers=3)
    student = build_student(teacher, keep_layers={"encoder": [1, 2], "decoder": [2]})
    found = {n: w for n, w in student.state_dict().items() if "relative_attention_bias" in n}
    assert len(found) == 2
    for name, weight in found.items():
        assert torch.equal(weight, teacher.state_dict()[name])
    ours, theirs = student.state_dict(), teacher.state_dict()
    name = "decoder.block.{}.layer.2.DenseReluDense.wi.weight"
    assert torch.equal(ours[name.format(0)], theirs[name.format(2)])
