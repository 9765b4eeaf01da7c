"""The masks of both sides as those that say which keys are compared.

Masks are compared by which keys they hide in a comparison of this size, not part by part: a window
that reaches every key, causality for a single query, and padding without a padded key hide nothing.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from .mask import AttentionMask, Shape, Tile, visible_tile
from .options import Masks

# Scores whose visibility is evaluated at once, where two masks are told apart by it.
COMPARED_SCORES = 2**22
SEGMENTS = ("query_segments", "key_segments")


def merge_masks(
    student: AttentionMask | None,
    teachers: Sequence[AttentionMask | None],
    policy: Masks,
    shape: Shape,
    device: torch.device,
) -> tuple[AttentionMask, ...]:
    """Returns the masks that together say which keys are compared, as few as possible.

    Raises:
        ValueError: with ``masks="equal"``, if a side sees keys that another does not. On an
            accelerator the contents of tensors and index functions are not compared, as the host
            would have to wait for the answer: there keys seen by all sides are compared.
    """
    plain = [_plain(mask, shape, device) for mask in dict.fromkeys((student, *teachers))]
    merged: list[AttentionMask] = []
    for mask in plain:
        if policy is Masks.EQUAL and mask is not plain[0]:
            _require_equal(plain[0], mask, shape, device)
        if not (policy is Masks.EQUAL and device.type == "cpu" and merged):
            _add(merged, mask)
    return tuple(mask for mask in merged if _hides(mask))


def _plain(mask: AttentionMask | None, shape: Shape, device: torch.device) -> AttentionMask:
    """The mask without parts that hide nothing here."""
    if mask is None:
        return AttentionMask()
    reach = shape.keys if mask.causal else shape.keys - 1
    if mask.window is not None and mask.window >= reach:
        mask = replace(mask, window=None)
    if mask.causal and mask.window is None and shape.queries == 1:  # it stands at the last key
        mask = replace(mask, causal=False)
    if mask.key_valid is not None and device.type == "cpu" and bool(mask.key_valid.all()):
        mask = replace(mask, key_valid=None)
    return mask


def _hides(mask: AttentionMask) -> bool:
    parts = (mask.key_valid, mask.window, mask.query_segments, mask.visible)
    return mask.causal or any(part is not None for part in parts)


def _add(merged: list[AttentionMask], mask: AttentionMask) -> None:
    """Take a mask into those there are: what can be said by one mask is."""
    if not merged:
        merged.append(mask)
        return
    first = merged[0]
    key_valid = _both(first.key_valid, mask.key_valid)
    causal, window = _band(first, mask)
    segments = {name: getattr(first, name) for name in SEGMENTS}
    visible, rest = first.visible, AttentionMask()
    if mask.query_segments is not None and not all(
        _same_tensor(getattr(first, name), getattr(mask, name)) for name in SEGMENTS
    ):
        own = {name: getattr(mask, name) for name in SEGMENTS}
        if first.query_segments is None:
            segments = own
        else:
            rest = replace(rest, **own)
    if mask.visible is not None and mask.visible is not first.visible:
        if first.visible is None:
            visible = mask.visible
        else:
            rest = replace(rest, visible=mask.visible)
    merged[0] = AttentionMask(key_valid, causal=causal, window=window, visible=visible, **segments)
    if _hides(rest):
        merged.append(rest)


def _both(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    if a is None or b is None or _same_tensor(a, b):
        return b if a is None else a
    return a & b


def _band(a: AttentionMask, b: AttentionMask) -> tuple[bool, int | None]:
    """Causality and window of two masks together.

    A causal window of w lets a query see distances below w, one to both sides distances up to w.
    """
    causal = a.causal or b.causal
    farthest = [m.window - m.causal for m in (a, b) if m.window is not None]
    return causal, min(farthest) + causal if farthest else None


def _require_equal(
    ours: AttentionMask, theirs: AttentionMask, shape: Shape, device: torch.device
) -> None:
    remedy = 'Give both sides the same mask, or set masks="intersect" to compare keys seen by both'
    if device.type != "cpu":
        if (ours.causal, ours.window) != (theirs.causal, theirs.window):
            raise ValueError(
                f"student and teacher masks differ: causal {ours.causal} and {theirs.causal}, "
                f"window {ours.window} and {theirs.window}. {remedy}"
            )
        return
    if _said_alike(ours, theirs):
        return
    everything = [slice(0, size) for size in shape]
    step = max(1, COMPARED_SCORES // (shape.batch * shape.keys))
    for start in range(0, shape.queries, step):
        rows = slice(start, min(start + step, shape.queries))
        tile = Tile(everything[0], everything[1], rows, everything[3])
        seen = [visible_tile([mask], tile, shape, device) for mask in (ours, theirs)]
        a, b = (torch.ones((), dtype=torch.bool) if part is None else part for part in seen)
        different = (a != b).nonzero()
        if len(different):
            batch, head, query, key = different[0].tolist()
            raise ValueError(
                f"student and teacher see different keys, the first in batch entry {batch}, head "
                f"{head}: key {key} of query {start + query}. {remedy}"
            )


def _said_alike(ours: AttentionMask, theirs: AttentionMask) -> bool:
    """Whether two masks are equal part by part, with the same index function if any."""
    if (ours.causal, ours.window) != (theirs.causal, theirs.window):
        return False
    pairs = [(getattr(ours, n), getattr(theirs, n)) for n in ("key_valid", *SEGMENTS, "visible")]
    return all(
        a is b or (isinstance(a, Tensor) and isinstance(b, Tensor) and torch.equal(a, b))
        for a, b in pairs
    )


def _same_tensor(a: Tensor | None, b: Tensor | None) -> bool:
    """Whether two tensors are one, without reading them."""
    if a is None or b is None or a is b:
        return a is b
    layout = (a.shape, a.dtype, a.stride(), a.data_ptr())
    return layout == (b.shape, b.dtype, b.stride(), b.data_ptr())
