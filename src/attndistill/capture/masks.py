"""Attention masks in compact form, seen as Transformers builds them."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from transformers.masking_utils import (
    add_offsets_to_mask_function,
    and_masks,
    bidirectional_mask_function,
    causal_mask_function,
    prepare_padding_mask,
    sliding_window_bidirectional_overlay,
    sliding_window_overlay,
)

from ..ops import AttentionMask

# The functions that Transformers composes its patterns of, for their code.
_AND = and_masks()
_CAUSAL_WINDOW = sliding_window_overlay(1)
_WINDOW = sliding_window_bidirectional_overlay(1)

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
    aligned = no_offset and arguments["q_length"] == kv_length
    if pattern is causal_mask_function and aligned:
        return AttentionMask(key_valid=key_valid, causal=True)
    window = _sliding_window(pattern)
    if window is not None and aligned:
        size, causal = window
        return AttentionMask(key_valid=key_valid, causal=causal, window=size)
    visible = add_offsets_to_mask_function(pattern, q_offset, kv_offset)
    return AttentionMask(key_valid=key_valid, visible=visible)


def _sliding_window(pattern: Callable) -> tuple[int, bool] | None:
    """(size, causal) of a plain sliding window; None for any other pattern.

    Transformers hands over its patterns as closures, told apart by the code they run. One not
    recognised is no less exact: it stays an index function.
    """
    # The compiler cannot look into closures.
    if torch.compiler.is_compiling() or getattr(pattern, "__code__", None) is not _AND.__code__:
        return None
    parts = inspect.getclosurevars(pattern).nonlocals["mask_functions"]
    for window, base, causal in (
        (_CAUSAL_WINDOW, causal_mask_function, True),
        (_WINDOW, bidirectional_mask_function, False),
    ):
        if len(parts) == 2 and parts[0].__code__ is window.__code__ and parts[1] is base:
            return inspect.getclosurevars(parts[0]).nonlocals["sliding_window"], causal
    return None


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
    padding_only = mask is not None and not mask.causal and mask.window is mask.visible is None
    if as_row and padding_only:
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
    # An additive mask hides a key by (nearly) the dtype's lowest number.
    visible = attention_mask > torch.finfo(attention_mask.dtype).min / 2
    return AttentionMask(visible=visible), attention_mask.masked_fill(~visible, 0)
