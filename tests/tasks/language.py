"""Tiny language models and a tokenizer of words for them."""

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    EncoderDecoderConfig,
    EncoderDecoderModel,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} : {{ m['content'] }} <end> {% endfor %}"
    "{% if add_generation_prompt %}assistant : {% endif %}"
)
MARKED_TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} : "
    "{% if m['role'] == 'assistant' %}{% generation %}{{ m['content'] }} <end>{% endgeneration %}"
    "{% else %}{{ m['content'] }} <end>{% endif %} {% endfor %}"
    "{% if add_generation_prompt %}assistant : {% endif %}"
)


def make_word_tokenizer(words, **options):
    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.train_from_iterator(
        [" ".join(words)],
        trainers.WordLevelTrainer(special_tokens=["<unk>", "<end>"]),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<end>", **options
    )


def make_decoder(family, vocab_size, layers=2, seed=0):
    torch.manual_seed(seed)
    tokens = {"vocab_size": vocab_size, "bos_token_id": None, "eos_token_id": 1, "pad_token_id": 1}
    match family:
        case "gpt2":
            config = GPT2Config(
                n_layer=layers,
                n_head=3,
                n_embd=24,
                n_positions=64,
                initializer_range=0.2,
                resid_pdrop=0.0,
                embd_pdrop=0.0,
                attn_pdrop=0.0,
                **tokens,
            )
            return GPT2LMHeadModel(config)
        case "llama":
            config = LlamaConfig(
                num_hidden_layers=layers,
                num_attention_heads=4,
                num_key_value_heads=2,
                hidden_size=32,
                intermediate_size=40,
                max_position_embeddings=64,
                initializer_range=0.2,
                **tokens,
            )
            return LlamaForCausalLM(config)
    raise AssertionError(family)


def make_seq2seq(family, vocab_size, layers=2, seed=0):
    torch.manual_seed(seed)
    tokens = {
        "vocab_size": vocab_size,
        "bos_token_id": None,
        "eos_token_id": 1,
        "pad_token_id": 0,
        "decoder_start_token_id": 1,
    }
    match family:
        case "bart":
            config = BartConfig(
                encoder_layers=layers,
                decoder_layers=layers,
                encoder_attention_heads=3,
                decoder_attention_heads=3,
                d_model=24,
                encoder_ffn_dim=32,
                decoder_ffn_dim=32,
                max_position_embeddings=64,
                init_std=0.1,
                dropout=0.0,
                forced_eos_token_id=None,
                **tokens,
            )
            return BartForConditionalGeneration(config)
        case "t5":
            config = T5Config(
                num_layers=layers,
                num_decoder_layers=layers,
                num_heads=3,
                d_model=24,
                d_kv=8,
                d_ff=32,
                dropout_rate=0.0,
                **tokens,
            )
            return T5ForConditionalGeneration(config)
        case "bert2bert":
            stack = {
                "vocab_size": vocab_size,
                "num_hidden_layers": layers,
                "num_attention_heads": 3,
                "hidden_size": 24,
                "intermediate_size": 32,
                "max_position_embeddings": 64,
                "initializer_range": 0.2,
                "hidden_dropout_prob": 0.0,
                "attention_probs_dropout_prob": 0.0,
                "pad_token_id": 0,
            }
            del tokens["vocab_size"]
            config = EncoderDecoderConfig.from_encoder_decoder_configs(
                BertConfig(**stack), BertConfig(**stack), **tokens
            )
            model = EncoderDecoderModel(config)
            model.generation_config = GenerationConfig(**tokens)
            return model
    raise AssertionError(family)
