"""Models that cannot be captured, wholly or in part, through the command line."""

import json

import pytest
import torch
import transformers as hf
import yaml
from recipes.test_image_runs import write_pictures
from recipes.test_language_runs import COUNTING, recipe_of, summaries, texts, write_lines
from recipes.workplace import make_tokenizer
from tasks.language import make_word_tokenizer

from attndistill.cli import main

SIZES = {
    "hidden_size": 24,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "id2label": {0: "negative", 1: "positive"},
}
SEQ2SEQ = {
    "d_model": 24,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "encoder_attention_heads": 3,
    "decoder_attention_heads": 3,
    "encoder_ffn_dim": 32,
    "decoder_ffn_dim": 32,
    "pad_token_id": 0,
    "eos_token_id": 1,
    "decoder_start_token_id": 1,
}
CLASSIFIERS = {
    "Longformer": lambda words: hf.LongformerForSequenceClassification(
        hf.LongformerConfig(vocab_size=words, attention_window=4, **SIZES)
    ),
    "BigBird": lambda words: hf.BigBirdForSequenceClassification(
        hf.BigBirdConfig(vocab_size=words, **SIZES)
    ),
    "XLNet": lambda words: hf.XLNetForSequenceClassification(
        hf.XLNetConfig(vocab_size=words, d_model=24, n_layer=2, n_head=3, d_inner=32)
    ),
    "Reformer": lambda words: hf.ReformerForSequenceClassification(
        hf.ReformerConfig(
            vocab_size=words,
            hidden_size=24,
            num_attention_heads=2,
            attention_head_size=12,
            axial_pos_embds=False,
            attn_layers=["local", "lsh"],
            local_attn_chunk_length=4,
            lsh_attn_chunk_length=4,
            is_decoder=False,
        )
    ),
}


def refused(capsys, recipe, workplace):
    """The one message of doctor and of run, which leave nothing behind."""
    file = workplace.write(recipe)
    errors = []
    for command in ("doctor", "run"):
        capsys.readouterr()
        assert main([command, str(file)]) == 2
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        errors.append(captured.err.strip().splitlines()[-1])
        assert not list(workplace.own.glob("run/**/*.safetensors"))
    assert errors[0] == errors[1]
    return errors[0]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("family", CLASSIFIERS)
def test_a_classifier_is_refused_before_its_fine_tuning(workplace, capsys, family):
    torch.manual_seed(0)
    tokenizer = make_tokenizer(["film"])
    CLASSIFIERS[family](len(tokenizer)).save_pretrained(workplace.own / "teacher")
    tokenizer.save_pretrained(workplace.own / "teacher")
    recipe = workplace.recipe
    # Nothing asks for attention, and the teacher would be trained first.
    recipe["teacher"] = {"model": str(workplace.own / "teacher"), "train": {"max_steps": 1}}
    recipe["student"] = {"config": {"initializer_range": 0.2}}
    recipe["objective"] = {"task": {}, "logits": {}}
    message = refused(capsys, recipe, workplace)
    assert f"teacher.model: {family}ForSequenceClassification has no attention" in message
    assert "supported models of this kind are BERT, RoBERTa" in message


def test_a_language_model_is_refused(workplace, capsys):
    tokenizer = make_word_tokenizer(COUNTING)
    config = hf.GPTNeoConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        num_layers=2,
        num_heads=3,
        attention_types=[[["global", "local"], 1]],
        max_position_embeddings=64,
    )
    hf.GPTNeoForCausalLM(config).save_pretrained(workplace.own / "teacher")
    tokenizer.save_pretrained(workplace.own / "teacher")
    data = {"train": write_lines(workplace.own / "train.txt", texts(0, 60)), "max_length": 12}
    recipe = recipe_of(workplace, "causal-lm", str(workplace.own / "teacher"), data)
    assert "of this kind are GPT-2, GPT-NeoX, Llama" in refused(capsys, recipe, workplace)


def test_a_summarizer_is_refused(workplace, capsys):
    tokenizer = make_word_tokenizer(COUNTING, pad_token="<unk>")
    config = hf.LEDConfig(vocab_size=len(tokenizer), attention_window=4, **SEQ2SEQ)
    hf.LEDForConditionalGeneration(config).save_pretrained(workplace.own / "teacher")
    tokenizer.save_pretrained(workplace.own / "teacher")
    rows = write_lines(workplace.own / "train.jsonl", summaries(0, 60))
    data = {"train": rows, "max_length": 12, "max_target_length": 4}
    recipe = recipe_of(workplace, "summarization", str(workplace.own / "teacher"), data)
    assert "of this kind are BART, Pegasus" in refused(capsys, recipe, workplace)


def test_a_vision_model_is_refused(workplace, capsys):
    config = hf.Swinv2Config(
        image_size=16,
        patch_size=2,
        embed_dim=12,
        depths=[1, 1],
        num_heads=[2, 2],
        window_size=2,
        id2label={0: "left", 1: "right"},
    )
    hf.Swinv2ForImageClassification(config).save_pretrained(workplace.own / "teacher")
    hf.ViTImageProcessor(size={"height": 16, "width": 16}).save_pretrained(
        workplace.own / "teacher"
    )
    data = {"train": write_pictures(workplace.own / "train", 40, 0)}
    recipe = recipe_of(workplace, "image-classification", str(workplace.own / "teacher"), data)
    assert "of this kind are ViT or DeiT" in refused(capsys, recipe, workplace)


@pytest.mark.filterwarnings("ignore:.*not captured")
def test_an_encoder_decoder_captured_in_part_says_so_and_teaches_the_rest(workplace, capsys):
    torch.manual_seed(0)
    tokenizer = make_word_tokenizer(COUNTING, pad_token="<unk>")
    config = hf.LongT5Config(
        vocab_size=len(tokenizer),
        d_model=24,
        d_kv=8,
        d_ff=32,
        num_heads=3,
        num_layers=2,
        num_decoder_layers=2,
        local_radius=4,
        pad_token_id=0,
        eos_token_id=1,
        decoder_start_token_id=1,
    )
    hf.LongT5ForConditionalGeneration(config).save_pretrained(workplace.own / "teacher")
    tokenizer.save_pretrained(workplace.own / "teacher")
    rows = write_lines(workplace.own / "train.jsonl", summaries(0, 60))
    data = {"train": rows, "max_length": 12, "max_target_length": 4}
    recipe = recipe_of(workplace, "summarization", str(workplace.own / "teacher"), data)
    recipe["student"] = {"keep_layers": {"decoder": [0]}}
    recipe["objective"] = {"task": {}, "encoder_attention": {}}
    message = refused(capsys, recipe, workplace)
    assert "no encoder self-attention that can be captured" in message
    recipe["objective"] = {"task": {}, "cross_attention": {}}
    recipe["training"]["max_steps"] = 2
    assert main(["run", str(workplace.write(recipe))]) == 0
    assert "encoder.block.0.layer.0" in capsys.readouterr().out
    report = json.loads((workplace.own / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["layer_map"] == {"decoder cross-attention": [[0, 1]]}
    assert any("are not captured" in note for note in report["notes"])


@pytest.mark.filterwarnings("ignore:.*have no attention")
def test_a_hybrid_is_distilled_in_its_attention_layers(workplace, capsys):
    torch.manual_seed(0)
    tokenizer = make_word_tokenizer(COUNTING)
    config = hf.Lfm2Config(
        vocab_size=len(tokenizer),
        hidden_size=24,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_hidden_layers=4,
        intermediate_size=32,
        layer_types=["conv", "full_attention"] * 2,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=1,
    )
    hf.Lfm2ForCausalLM(config).save_pretrained(workplace.own / "teacher")
    tokenizer.save_pretrained(workplace.own / "teacher")
    data = {"train": write_lines(workplace.own / "train.txt", texts(0, 60)), "max_length": 12}
    recipe = recipe_of(workplace, "causal-lm", str(workplace.own / "teacher"), data, max_steps=2)
    recipe["student"] = {"keep_layers": [0, 1]}
    recipe["objective"] = {"task": {}, "attention": {}}
    file = workplace.write(recipe)
    assert main(["doctor", str(file)]) == 0
    printed = capsys.readouterr().out
    assert "layers 0 (conv), 2 (conv) have no attention probabilities and are skipped" in printed
    assert "0 from 1" in printed
    assert main(["run", str(file)]) == 0
    report = json.loads((workplace.own / "run" / "report.json").read_text(encoding="utf-8"))
    assert report["layer_map"] == {"decoder self-attention": [[0, 1]]}
    assert any("0 (conv), 2 (conv)" in note for note in report["notes"])
    student = workplace.own / "run" / "student"
    kept = hf.AutoModelForCausalLM.from_pretrained(student).config
    assert kept.layer_types == ["conv", "full_attention"]
    resolved = yaml.safe_load((workplace.own / "run" / "recipe.yaml").read_text(encoding="utf-8"))
    assert resolved["student"]["keep_layers"] == [0, 1]
