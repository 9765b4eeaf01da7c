"""How far captured probabilities are from eager attention's own."""

from collections import defaultdict

import torch
import transformers as hf
from capture.families import Batch, Family, tiny_model

from attndistill.capture import AttentionRecord, capture

Group = tuple[str, str]


def largest_errors(family: Family, padding: str, implementation: str) -> dict[Group, float]:
    """The largest difference of a probability, per stack and kind of attention.

    Over the queries that are not padding: what padding attends to differs between backends where
    it sees no key.
    """
    model, batch = tiny_model(family, padding)
    if padding == "none":
        batch = {name: part for name, part in batch.items() if "mask" not in name}
    model.set_attn_implementation(implementation)
    with torch.no_grad(), capture(model) as records:
        model(**batch)
    expected = eager_probs(model, batch)
    errors: dict[Group, float] = defaultdict(float)
    by_group: dict[Group, list[AttentionRecord]] = defaultdict(list)
    for record in records:
        by_group[record.stack, record.kind].append(record)
    assert set(by_group) == set(expected)
    for group, group_records in by_group.items():
        assert [record.layer for record in group_records] == list(range(len(expected[group])))
        for record, probs in zip(group_records, expected[group], strict=True):
            ours = record.attention_probs()
            difference = (ours - probs).abs()
            real = real_queries(batch, record)
            if real is not None:
                difference = difference.movedim(1, 2)[real]
            errors[group] = max(errors[group], difference.max().item())
    return dict(errors)


def eager_probs(model: hf.PreTrainedModel, batch: Batch) -> dict[Group, tuple[torch.Tensor, ...]]:
    """The attention maps that eager attention returns, per stack and kind."""
    model.set_attn_implementation("eager")
    with torch.no_grad():
        output = model(**batch, output_attentions=True)
    if "text_model_output" in output:
        return {
            ("text", "self"): output.text_model_output.attentions,
            ("vision", "self"): output.vision_model_output.attentions,
        }
    if "encoder_attentions" in output:
        return {
            ("encoder", "self"): output.encoder_attentions,
            ("decoder", "self"): output.decoder_attentions,
            ("decoder", "cross"): output.cross_attentions,
        }
    causal = "labels" in batch and batch["labels"].dim() == 2
    return {("decoder" if causal else "encoder", "self"): output.attentions}


def real_queries(batch: Batch, record: AttentionRecord) -> torch.Tensor | None:
    """Which queries are not padding, bool [B, Q]; None where all are real."""
    name = "attention_mask"
    if "decoder_attention_mask" in batch and record.stack == "decoder":
        name = "decoder_attention_mask"
    mask = batch.get(name)
    return None if mask is None or record.stack == "vision" else mask.bool()
