"""Attention masks in compact form, noted as Transformers builds them."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor
from transformers import masking_utils
from transformers.masking_utils import (
    add_offsets_to_mask_function,
    and_masks,
    bidirectional_mask_function,
    causal_mask_function,
    packed_sequence_mask_function,
    prepare_padding_mask,
    sliding_window_bidirectional_overlay,
    sliding_window_overlay,
)

from ..ops import AttentionMask
from .attention_call import AttentionCall

# The functions that Transformers composes its patterns of, for their code.
_AND = and_masks()
_CAUSAL_WINDOW = sliding_window_overlay(1)
_WINDOW = sliding_window_bidirectional_overlay(1)
_PACKED = packed_sequence_mask_function(torch.empty(0))
_REMAPPED = getattr(  # not in every version
    masking_utils, "remap_positions_for_packed_sequence", lambda mask_function, _: mask_function
)(_AND, torch.empty(0))

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
    if aligned and (parts := _known_parts(pattern)) is not None:
        return AttentionMask(key_valid=key_valid, **parts)
    visible = add_offsets_to_mask_function(pattern, q_offset, kv_offset)
    return AttentionMask(key_valid=key_valid, visible=visible)


def _known_parts(pattern: Callable) -> dict[str, Any] | None:
    """What causal order, a window and packed sequences make of a pattern; None for any other.

    Positions within a packed sequence go up by one, so distances in it are those of the row.
    Transformers passes its patterns as closures, which are told apart by the code they run. A
    pattern that is not recognised stays an index function, which is no less exact.
    """
    found: dict[str, Any] = {"causal": False}
    overlays = []
    for part in _conjuncts(pattern):
        code = getattr(part, "__code__", None)
        if part is causal_mask_function:
            found["causal"] = True
        elif code in (_CAUSAL_WINDOW.__code__, _WINDOW.__code__):
            overlays.append(code)
            found["window"] = _closed_over(part, "sliding_window")
        elif code is _PACKED.__code__ and "query_segments" not in found:
            segments = _closed_over(part, "packed_sequence_mask")
            found |= {"query_segments": segments, "key_segments": segments}
        elif part is not bidirectional_mask_function:
            return None
    wanted = _CAUSAL_WINDOW if found["causal"] else _WINDOW
    return found if overlays in ([], [wanted.__code__]) else None


def _conjuncts(pattern: Callable) -> Iterator[Callable]:
    """The patterns that are and-ed; the pattern itself where the compiler cannot look into it."""
    code = getattr(pattern, "__code__", None)
    if torch.compiler.is_compiling() or code not in (_AND.__code__, _REMAPPED.__code__):
        yield pattern
    elif code is _AND.__code__:
        for part in _closed_over(pattern, "mask_functions"):
            yield from _conjuncts(part)
    else:
        yield from _conjuncts(_closed_over(pattern, "mask_function"))


def _closed_over(pattern: Callable, name: str) -> Any:
    return inspect.getclosurevars(pattern).nonlocals[name]


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


def mask_and_bias(
    call: AttentionCall, built: list[BuiltMask]
) -> tuple[AttentionMask | None, Tensor | None]:
    """The mask and additive bias of an attention call; each None where there is none.

    Args:
        call: the call.
        built: the masks noted in this forward.
    """
    mask, bias = _split_mask(call, built)
    if bias is None or call.position_bias is None:
        return mask, call.position_bias if bias is None else bias
    return mask, bias + call.position_bias


def _split_mask(
    call: AttentionCall, built: list[BuiltMask]
) -> tuple[AttentionMask | None, Tensor | None]:
    attention_mask = call.attention_mask
    if isinstance(attention_mask, AttentionMask):
        return attention_mask, None
    for mask_object, mask in built:
        if mask_object is attention_mask:
            return mask, None
    if attention_mask is None or attention_mask.dim() == 2:
        key_valid = None if attention_mask is None else attention_mask.bool()
        if key_valid is None and not call.is_causal and call.sliding_window is None:
            return None, None
        mask = AttentionMask(key_valid=key_valid, causal=call.is_causal, window=call.sliding_window)
        return mask, None
    if attention_mask.dtype == torch.bool:
        return AttentionMask(visible=attention_mask), None
    # An additive mask hides a key by (nearly) the dtype's lowest number.
    visible = attention_mask > torch.finfo(attention_mask.dtype).min / 2
    return AttentionMask(visible=visible), attention_mask.masked_fill(~visible, 0)
