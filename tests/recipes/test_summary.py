import pytest
from tiny import make_bert, make_seq2seq
from transformers import BertConfig, EncoderDecoderConfig, EncoderDecoderModel

from attndistill.cli import main
from attndistill.recipes.summary import architecture


def bert_to_bert(decoder_width):
    shared = {"vocab_size": 20, "intermediate_size": 12, "num_attention_heads": 2}
    encoder = BertConfig(hidden_size=8, num_hidden_layers=3, **shared)
    decoder = BertConfig(hidden_size=decoder_width, num_hidden_layers=2, **shared)
    config = EncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    return EncoderDecoderModel(config)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (
            make_bert(layers=3),
            "BertForSequenceClassification, 3 attention layers, 3 heads, 24 wide",
        ),
        (
            make_seq2seq("bart", layers=2),
            "BartForConditionalGeneration, encoder 1 + decoder 2 attention layers, "
            "3 heads, 24 wide",
        ),
        (
            bert_to_bert(8),
            "EncoderDecoderModel, encoder 3 + decoder 2 attention layers, 2 heads, 8 wide",
        ),
        (
            bert_to_bert(10),
            "EncoderDecoderModel, encoder 3 + decoder 2 attention layers, "
            "encoder 2 heads, 8 wide; decoder 2 heads, 10 wide",
        ),
    ],
    ids=["bert", "bart", "bert2bert", "bert2bert of two widths"],
)
def test_an_architecture_is_told_by_stack(model, expected):
    assert architecture(model) == expected


def test_the_plan_tells_what_is_not_as_by_default(workplace, capsys):
    recipe = workplace.recipe
    recipe["objective"]["relation"] = {"relation_heads": 6, "weight": 0.5}
    assert main(["doctor", str(workplace.write(recipe))]) == 0
    out = capsys.readouterr().out
    assert (
        "Objective: task (weight 1.0); logits (weight 1.0, temperature 2.0); "
        "attention (weight 1.0, kind kl, temperature 1.0); "
        "relation (weight 0.5, kind kl, temperature 1.0, relation_heads 6)\n"
    ) in out
