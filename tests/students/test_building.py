import pytest
import torch
from tiny import make_batch, make_bert, make_encoder

from attndistill import build_student
from attndistill.errors import InputError


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
