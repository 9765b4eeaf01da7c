"""Tiny seeded models and texts, shared by the tests."""

import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    LlamaConfig,
    LlamaForCausalLM,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
    T5Config,
    T5ForConditionalGeneration,
)

SIZES = {
    "vocab_size": 97,
    "hidden_size": 24,
    "num_attention_heads": 3,
    "intermediate_size": 33,
    "max_position_embeddings": 64,
}


def make_bert(layers: int = 3, seed: int = 0, dropout: float = 0.0, **changes):
    torch.manual_seed(seed)
    config = BertConfig(
        **SIZES
        | {
            "num_hidden_layers": layers,
            "hidden_dropout_prob": dropout,
            "attention_probs_dropout_prob": dropout,
            "num_labels": 2,
            "initializer_range": 0.2,
        }
        | changes
    )
    return BertForSequenceClassification(config)


def make_encoder(family: str, seed: int = 0):
    torch.manual_seed(seed)
    match family:
        case "bert":
            return make_bert(seed=seed)
        case "roberta":
            return RobertaForSequenceClassification(
                RobertaConfig(**SIZES, num_hidden_layers=3, pad_token_id=1)
            )
        case "electra":
            return ElectraForSequenceClassification(
                ElectraConfig(**SIZES, num_hidden_layers=3, embedding_size=16)
            )
        case "distilbert":
            return DistilBertForSequenceClassification(
                DistilBertConfig(
                    vocab_size=97,
                    dim=24,
                    n_heads=3,
                    hidden_dim=33,
                    n_layers=3,
                    max_position_embeddings=64,
                )
            )
        case "modernbert":
            # Local attention in all layers but the first; 6 is a window of 3 keys on each side.
            return ModernBertForSequenceClassification(
                ModernBertConfig(
                    **SIZES,
                    num_hidden_layers=3,
                    local_attention=6,
                    pad_token_id=0,
                    bos_token_id=1,
                    eos_token_id=2,
                    cls_token_id=3,
                    sep_token_id=4,
                )
            )
    raise AssertionError(family)


def make_batch(
    lengths: list[int], *, pad_to: int | None = None, side: str = "right", seed: int = 0
):
    """Random ids 5..96, padded with 0 on one side; labels alternate."""
    generator = torch.Generator().manual_seed(seed)
    width = pad_to or max(lengths)
    ids = torch.zeros(len(lengths), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, length in enumerate(lengths):
        place = slice(0, length) if side == "right" else slice(width - length, width)
        ids[row, place] = torch.randint(5, 97, (length,), generator=generator)
        mask[row, place] = 1
    labels = torch.arange(len(lengths)) % 2
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def make_seq2seq(family: str, layers: int = 2, seed: int = 0, heads: int = 3):
    """BART or T5 with one layer less in the encoder than in the decoder, without dropout."""
    torch.manual_seed(seed)
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1}
    if family == "t5":
        config = T5Config(
            vocab_size=97,
            d_model=24,
            d_kv=8,
            d_ff=33,
            num_layers=layers - 1,
            num_decoder_layers=layers,
            num_heads=heads,
            dropout_rate=0.0,
            **special,
        )
        return T5ForConditionalGeneration(config)
    config = BartConfig(
        vocab_size=97,
        d_model=24,
        encoder_layers=layers - 1,
        decoder_layers=layers,
        encoder_attention_heads=heads,
        decoder_attention_heads=heads,
        encoder_ffn_dim=33,
        decoder_ffn_dim=33,
        max_position_embeddings=64,
        dropout=0.0,
        init_std=0.2,
        forced_eos_token_id=None,
        **special,
    )
    return BartForConditionalGeneration(config)


def make_seq2seq_batch(lengths: list[int], targets: list[int], *, pad_to: int = 0, seed: int = 0):
    """A padded batch for a seq2seq model; labels are padded with -100."""
    batch = make_batch(lengths, pad_to=max(*lengths, pad_to), seed=seed)
    target = make_batch(targets, pad_to=max(*targets, pad_to), seed=seed + 1)
    ids = target["input_ids"]
    return batch | {"labels": ids.masked_fill(target["attention_mask"] == 0, -100)}


def make_llama(layers: int = 3, seed: int = 0, **changes):
    torch.manual_seed(seed)
    sizes = SIZES | {
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 6,
        "num_hidden_layers": layers,
        "initializer_range": 0.2,
        "pad_token_id": 0,
    }
    return LlamaForCausalLM(LlamaConfig(**sizes | changes))


def make_text_batch(lengths: list[int], *, pad_to: int | None = None, side="right", seed: int = 0):
    """A padded batch for a causal language model; labels are padded with -100."""
    batch = make_batch(lengths, pad_to=pad_to, side=side, seed=seed)
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
    return batch | {"labels": labels}
