"""Attention masks in compact form, seen as Transformers builds them."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import (
    add_offsets_to_mask_function,
    bidirectional_mask_function,
    causal_mask_function,
    prepare_padding_mask,
)

from ..ops import AttentionMask

# The object a mask function returned, whatever its backend's type, beside its compact form.
BuiltMask = tuple[Any, AttentionMask]


def compact_mask(arguments: dict[str, Any]) -> AttentionMask | None:
    """The mask that Transformers is asked to build, without building it.

    Args:
        arguments: the keyword arguments of a Transformers mask function (``sdpa_mask``, …).

    Returns:
        The equal `AttentionMask`, or None where only the built mask tells (custom patterns that
        are not index functions).
    """
    if arguments.get("use_vmap"):
        return None
    q_offset, kv_offset = arguments.get("q_offset", 0), arguments.get("kv_offset", 0)
    kv_length = arguments["kv_length"]
    pattern = arguments.get("mask_function", causal_mask_function)
    padding = prepare_padding_mask(arguments.get("attention_mask"), kv_length, kv_offset)
    key_valid = None
    if padding is not None:
        key_valid = padding[:, kv_offset : kv_offset + kv_length].bool()
    if pattern is bidirectional_mask_function:
        return AttentionMask(key_valid=key_valid)
    no_offset = isinstance(q_offset, int) and q_offset == kv_offset == 0
    if pattern is causal_mask_function and no_offset and arguments["q_length"] == kv_length:
        return AttentionMask(key_valid=key_valid, causal=True)
    visible = add_offsets_to_mask_function(pattern, q_offset, kv_offset)
    return AttentionMask(key_valid=key_valid, visible=visible)


def note_mask(
    original: Callable, arguments: dict[str, Any], notebooks: list[list[BuiltMask]], *, as_row: bool
) -> Any:
    """Build a mask as Transformers asks for it and note its compact form.

    Args:
        original: the Transformers mask function in use.
        arguments: its keyword arguments.
        notebooks: where (built mask, compact form) is noted.
        as_row: a padded bidirectional mask, whose rows are all equal, is built as one row
            (B, 1, 1, K) and expanded over the queries: the same values without a Q×K map.

    Returns:
        The mask for the model, in the form of its backend.
    """
    mask = compact_mask(arguments)
    rows_equal = mask is not None and mask.visible is None and not mask.causal
    if as_row and rows_equal:
        result = original(**{**arguments, "q_length": 1})
        if result is not None:
            result = result.expand(-1, -1, arguments["q_length"], -1)
    else:
        result = original(**arguments)
    if result is not None and mask is not None:
        for built in notebooks:
            built.append((result, mask))
    return result


def seen_mask(
    attention_mask: Tensor | AttentionMask | None,
    built: list[BuiltMask],
    *,
    causal: bool,
    window: int | None,
) -> tuple[AttentionMask | None, Tensor | None]:
    """The mask and additive bias that an attention function was called with.

    Args:
        attention_mask: what the model passed: None, a bool or additive [B, 1|H, Q, K] tensor, or
            the [B, K] key padding that FlashAttention takes; or an `AttentionMask` as it is.
        built: the masks noted in this forward.
        causal: whether the backend itself masks causally when it is given no [B, 1|H, Q, K] mask.
        window: the sliding window that the backend itself applies then.

    Returns:
        (mask, bias); each None where there is none.
    """
    if isinstance(attention_mask, AttentionMask):
        return attention_mask, None
    for mask_object, mask in built:
        if mask_object is attention_mask:
            return mask, None
    if attention_mask is None or attention_mask.dim() == 2:
        key_valid = None if attention_mask is None else attention_mask.bool()
        if key_valid is None and not causal and window is None:
            return None, None
        return AttentionMask(key_valid=key_valid, causal=causal, window=window), None
    if attention_mask.dtype == torch.bool:
        return AttentionMask(visible=attention_mask), None
    return None, attention_mask
