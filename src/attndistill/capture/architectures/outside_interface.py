"""Attention modules outside the ``AttentionInterface`` whose scores can be rebuilt exactly.

Each entry names the parts of a module whose calls are observed, and puts together from them what
an attention function would have been called with. The tensors are the model's own, so
gradients reach its weights.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ...errors import InputError
from ...ops import AttentionMask
from ..attention_call import AttentionCall
from .modules import attention_forward


@dataclass(frozen=True, kw_only=True, eq=False)
class PartCall:
    """One call of a part of an attention module.

    Attributes:
        inputs: its positional arguments.
        output: what it returned.
    """

    inputs: tuple[Any, ...]
    output: Any


# Part -> its first call in this forward of the module.
PartCalls = Mapping[str, PartCall]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rebuilding:
    """How the attention of one class of modules is put together.

    Attributes:
        parts: names of the submodules and methods whose calls are observed.
        rebuild: (module, arguments of its forward by name, calls of its parts) -> attention call.
        causal: whether it is a decoder's.
        refusal: (module) -> why this one cannot be captured exactly, or None.
    """

    parts: tuple[str, ...]
    rebuild: Callable[[Any, Mapping[str, Any], PartCalls], AttentionCall]
    causal: bool = False
    refusal: Callable[[Any], str | None] = lambda module: None


def rebuilding(module: nn.Module) -> Rebuilding | None:
    """How this module's attention is rebuilt; None where it is not a module of the table.

    Raises:
        InputError: a module of the table in a variant that cannot be captured exactly.
    """
    kind = type(module)
    if not kind.__module__.startswith("transformers.models."):
        return None
    found = REBUILT.get((kind.__module__.split(".")[2], kind.__name__))
    reason = found.refusal(module) if found else None
    if reason is not None:
        raise InputError(reason)
    return found


def _mpnet(module: Any, inputs: Mapping[str, Any], calls: PartCalls) -> AttentionCall:
    heads = module.num_attention_heads
    query, key, value = (_by_head(calls[part].output, heads) for part in ("q", "k", "v"))
    return AttentionCall(
        query=query,
        key=key,
        value=value,
        attention_mask=inputs["attention_mask"],
        scaling=module.attention_head_size**-0.5,
        position_bias=inputs["position_bias"],
    )


def _deberta(module: Any, inputs: Mapping[str, Any], calls: PartCalls) -> AttentionCall:
    heads = module.num_attention_heads
    query, key, value = _by_head(calls["in_proj"].output, heads).chunk(3, dim=-1)
    query = query + _by_head(module.q_bias[None, None], heads)
    value = value + _by_head(module.v_bias[None, None], heads)
    bias = _output(calls, "disentangled_att_bias")
    terms = 1 + len(module.pos_att_type)
    return _disentangled(query, key, value, inputs["attention_mask"], bias, terms)


def _deberta_v2(module: Any, inputs: Mapping[str, Any], calls: PartCalls) -> AttentionCall:
    heads = module.num_attention_heads
    parts = ("query_proj", "key_proj", "value_proj")
    query, key, value = (_by_head(calls[part].output, heads) for part in parts)
    bias = _output(calls, "disentangled_attention_bias")
    if bias is not None:
        bias = bias.unflatten(0, (-1, heads))
    terms = 1 + len({"c2p", "p2c"} & set(module.pos_att_type))
    return _disentangled(query, key, value, inputs["attention_mask"], bias, terms)


def _disentangled(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, bias: Tensor | None, terms: int
) -> AttentionCall:
    # Content-to-content scores are query · key; the terms with positions are a dense bias, of
    # queries × keys like the scores that DeBERTa computes anyway.
    return AttentionCall(
        query=query,
        key=key,
        value=value,
        attention_mask=_key_padding(mask),
        scaling=(query.shape[-1] * terms) ** -0.5,
        position_bias=bias,
    )


def _key_padding(mask: Tensor) -> AttentionMask:
    """DeBERTa's mask [B, 1, N, N] is the padding of the keys times that of the queries.

    Queries that are padding see no key there; here they see every real one, as in other encoders:
    their rows never count, and the mask stays as small and as comparable as theirs.
    """
    rows = mask[:, 0].bool()
    return AttentionMask(
        key_valid=rows[:, 0] if rows.shape[1] == 1 else rows.diagonal(dim1=1, dim2=2)
    )


def _bloom(module: Any, inputs: Mapping[str, Any], calls: PartCalls) -> AttentionCall:
    query, key, value = calls["_reshape"].output
    alibi = inputs["alibi"].unflatten(0, (-1, module.num_heads))
    _check_no_past(module, key.shape[2], alibi.shape[-1])
    return AttentionCall(
        query=query,
        key=key,
        value=value,
        attention_mask=inputs["attention_mask"],
        scaling=module.inv_norm_factor,
        position_bias=alibi.expand(-1, -1, query.shape[2], -1),
    )


def _falcon(module: Any, inputs: Mapping[str, Any], calls: PartCalls) -> AttentionCall:
    query, key, value = (part.transpose(1, 2) for part in calls["_split_heads"].output)
    if module.new_decoder_architecture:
        # The module repeats every key head for its group of query heads.
        group = module.num_heads // module.num_kv_heads
        key, value = key[:, ::group], value[:, ::group]
    rotate = attention_forward(module).__globals__["apply_rotary_pos_emb"]
    query, key = rotate(query, key, *inputs["position_embeddings"])
    cache = inputs["layer_past"]
    if cache is not None:
        _check_no_past(module, key.shape[2], cache.get_seq_length(module.layer_idx))
    return AttentionCall(
        query=query,
        key=key,
        value=value,
        attention_mask=inputs["attention_mask"],
        scaling=module.inv_norm_factor,
        # BLOOM and GPT-J always get a mask. Falcon may get none under sdpa, which then masks.
        is_causal=module.config._attn_implementation == "sdpa" and query.shape[2] > 1,
    )


def _falcon_refusal(module: Any) -> str | None:
    if not module.config.alibi:
        return None
    return (
        "Falcon with ALiBi cannot be captured: Transformers adds its bias once under sdpa and "
        "twice under eager; use a Falcon with rotary positions, or BLOOM"
    )


def _gptj(module: Any, inputs: Mapping[str, Any], calls: PartCalls) -> AttentionCall:
    query, key, value, *rest = calls["_attn"].inputs
    return AttentionCall(
        query=query,
        key=key,
        value=value,
        attention_mask=rest[0] if rest else None,
        scaling=1 / module.scale_attn,
    )


def _talking_heads_refusal(module: Any) -> str | None:
    if not module.talking_head:
        return None
    return (
        "DeBERTa with talking heads cannot be captured: its scores are mixed between heads; "
        "use DeBERTa without them (talking_head=False) or DeBERTa-v3"
    )


def _by_head(projected: Tensor, heads: int) -> Tensor:
    """[B, N, heads · D] as [B, heads, N, D]."""
    return projected.unflatten(-1, (heads, -1)).transpose(1, 2)


def _output(calls: PartCalls, part: str) -> Tensor | None:
    output = calls[part].output if part in calls else None
    return output if isinstance(output, Tensor) else None


def _check_no_past(module: nn.Module, keys: int, attended: int) -> None:
    if keys != attended:
        raise InputError(
            f"{type(module).__name__} attends to {attended} keys, {attended - keys} of them from "
            "a key/value cache, which capture does not see; call the model on whole sequences, "
            "with use_cache=False"
        )


REBUILT = {
    ("mpnet", "MPNetSelfAttention"): Rebuilding(parts=("q", "k", "v"), rebuild=_mpnet),
    ("deberta", "DisentangledSelfAttention"): Rebuilding(
        parts=("in_proj", "disentangled_att_bias"),
        rebuild=_deberta,
        refusal=_talking_heads_refusal,
    ),
    ("deberta_v2", "DisentangledSelfAttention"): Rebuilding(
        parts=("query_proj", "key_proj", "value_proj", "disentangled_attention_bias"),
        rebuild=_deberta_v2,
    ),
    ("bloom", "BloomAttention"): Rebuilding(parts=("_reshape",), rebuild=_bloom, causal=True),
    ("falcon", "FalconAttention"): Rebuilding(
        parts=("_split_heads",), rebuild=_falcon, causal=True, refusal=_falcon_refusal
    ),
    ("gptj", "GPTJAttention"): Rebuilding(parts=("_attn",), rebuild=_gptj, causal=True),
}
