from collections import Counter

import pytest
import torch
import transformers as hf
from capture.hybrids import make_hybrid
from tasks.language import make_seq2seq
from tiny import make_batch, make_bert, make_encoder

from attndistill import build_student
from attndistill.capture import attention_layers
from attndistill.errors import InputError
from attndistill.matching import match_layers


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


@pytest.mark.filterwarnings("ignore:.*have no attention")
@pytest.mark.parametrize("name", ["LFM2", "Qwen3.5", "Jamba"])
def test_a_student_keeps_both_kinds_of_layers_and_maps_the_attention_alone(name):
    teacher = make_hybrid(name)
    student = build_student(teacher, keep_layers=[2, 3])
    match = match_layers(student, teacher)
    # Uniform: the student's one layer of attention learns from the teacher's last of two.
    assert match.layer_map.pairs == ((0, 1),)
    weights, kept = teacher.state_dict(), student.state_dict()
    for new, old in ((0, 2), (1, 3)):
        own = {n: w for n, w in kept.items() if f".layers.{new}." in n}
        assert own
        for path, weight in own.items():
            assert torch.equal(weight, weights[path.replace(f".{new}.", f".{old}.", 1)]), path


@pytest.mark.filterwarnings("ignore:.*have no attention")
def test_layers_that_a_config_tells_by_their_number_are_kept_in_order():
    teacher = make_hybrid("Jamba")
    with pytest.raises(InputError) as caught:
        build_student(teacher, keep_layers=[1, 3])
    assert "2 layers are linear_attention, full_attention, but those kept are" in str(caught.value)
    shallow = build_student(teacher, config={"num_hidden_layers": 2})
    assert [layer.name.split(".")[2] for layer in attention_layers(shallow)] == ["1"]


@pytest.mark.filterwarnings("ignore:.*not captured")
def test_of_an_encoder_decoder_with_one_captured_stack_that_one_is_kept():
    torch.manual_seed(0)
    sizes = {"d_model": 24, "d_kv": 8, "d_ff": 33, "num_heads": 3, "local_radius": 4}
    config = hf.LongT5Config(vocab_size=97, num_layers=3, num_decoder_layers=2, **sizes)
    teacher = hf.LongT5ForConditionalGeneration(config)
    student = build_student(teacher, keep_layers={"decoder": [1]})
    assert (student.config.num_layers, student.config.num_decoder_layers) == (3, 1)
    kept = student.decoder.block[0].layer[1].EncDecAttention.q.weight
    assert torch.equal(kept, teacher.decoder.block[1].layer[1].EncDecAttention.q.weight)
    assert match_layers(student, teacher, stack="decoder", cross=True).layer_map.pairs == ((0, 1),)
    with pytest.raises(InputError, match="no encoder self-attention that can be captured"):
        match_layers(student, teacher, stack="encoder")
    with pytest.raises(InputError, match="no stack 'encoder', only decoder: those whose"):
        build_student(teacher, keep_layers={"encoder": [0]})
