"""How far captured attention is from what eager attention returns, in values and gradients."""

from collections import defaultdict
from collections.abc import Sequence

import torch
import transformers as hf
from capture.families import Batch, Family, tiny_model
from torch import Tensor

from attndistill.capture import AttentionRecord, capture

Group = tuple[str, str]


def largest_errors(family: Family, padding: str, implementation: str) -> dict[Group, float]:
    """The largest difference of a probability, per stack and kind of attention.

    Over the queries that are not padding: what padding attends to differs between backends where
    it sees no key.
    """
    model, batch = model_and_batch(family, padding)
    use(model, implementation)
    with torch.no_grad(), capture(model) as records:
        model(**batch)
    use(model, "eager")
    with torch.no_grad():
        expected = returned_probs(model, batch)
    captured = grouped(records)
    assert set(captured) == set(expected)
    errors: dict[Group, float] = defaultdict(float)
    for group, own in captured.items():
        assert [record.layer for record in own] == list(range(len(expected[group])))
        for record, probs in zip(own, expected[group], strict=True):
            difference = (record.attention_probs() - probs).abs()
            real = real_queries(batch, record)
            if real is not None:
                difference = difference.movedim(1, 2)[real]
            errors[group] = max(errors[group], difference.max().item())
    return dict(errors)


def largest_gradient_error(family: Family) -> float:
    """The largest difference of a weight's gradient, relative to the largest gradient.

    Of a weighted sum of all probabilities, captured and as eager attention returns them.
    """
    gradients = []
    for captured in (True, False):
        model, batch = model_and_batch(family, "none")
        use(model, "eager")
        if captured:
            with capture(model) as records:
                model(**batch)
            groups = grouped(records)
            probs = [r.attention_probs() for group in sorted(groups) for r in groups[group]]
        else:
            maps = returned_probs(model, batch)
            probs = [p for group in sorted(maps) for p in maps[group]]
        generator = torch.Generator().manual_seed(3)
        loss = sum((p * torch.rand(p.shape, generator=generator)).sum() for p in probs)
        loss.backward()
        gradients.append(flat_gradient(model))
    ours, expected = gradients
    return ((ours - expected).abs().max() / expected.abs().max()).item()


def flat_gradient(model: torch.nn.Module) -> Tensor:
    """The gradients of all weights in one vector, zero where there is none."""
    return torch.cat(
        [
            torch.zeros(weight.numel()) if weight.grad is None else weight.grad.flatten()
            for weight in model.parameters()
        ]
    )


def model_and_batch(family: Family, padding: str) -> tuple[hf.PreTrainedModel, Batch]:
    """As `tiny_model`, without masks where nothing is padded."""
    model, batch = tiny_model(family, padding)
    if padding == "none":
        batch = {name: part for name, part in batch.items() if "mask" not in name}
    return model, batch


def use(model: hf.PreTrainedModel, implementation: str) -> None:
    """Switch the attention implementation; Falcon reads it from its config only."""
    if isinstance(model, hf.FalconForCausalLM):
        model.config._attn_implementation = implementation
    else:
        model.set_attn_implementation(implementation)


def grouped(records: Sequence[AttentionRecord]) -> dict[Group, list[AttentionRecord]]:
    """Records per stack and kind, in order."""
    groups: dict[Group, list[AttentionRecord]] = defaultdict(list)
    for record in records:
        groups[record.stack, record.kind].append(record)
    return groups


def returned_probs(model: hf.PreTrainedModel, batch: Batch) -> dict[Group, tuple[Tensor, ...]]:
    """The attention maps that the model returns under eager attention, per stack and kind."""
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


def real_queries(batch: Batch, record: AttentionRecord) -> Tensor | None:
    """Which queries are not padding, bool [B, Q]; None where all are real."""
    if record.stack == "vision":
        return None
    decoder = "decoder_attention_mask" in batch and record.stack == "decoder"
    mask = batch.get("decoder_attention_mask" if decoder else "attention_mask")
    return None if mask is None else mask.bool()
