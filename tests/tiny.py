"""Tiny seeded models and texts, shared by the tests."""

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
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
