"""Which keys a query sees, kept compact and evaluated one tile at a time."""

from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import NamedTuple

import torch
from torch import Tensor

IndexMask = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class Shape(NamedTuple):
    """The sizes of a relation's score tensor."""

    batch: int
    heads: int
    queries: int
    keys: int


class Tile(NamedTuple):
    """A block of a relation's score tensor: one slice for each of its dimensions."""

    batch: slice
    heads: slice
    queries: slice
    keys: slice


@dataclass(frozen=True, eq=False)
class AttentionMask:
    """Which keys each query sees. True is visible; the parts given are combined with AND.

    Shapes: B batch, H query heads, Q queries, K keys. Where Q differs from K, the last query is
    aligned with the last key (a query block at the end of a longer cache): query q stands at
    position p = q + K - Q.

    Attributes:
        key_valid: bool ``[B, K]``, False on padding keys.
        causal: a query at position p sees keys k <= p.
        window: as in Transformers: with ``causal``, keys with p - k < window; without it, keys
            with |p - k| <= window.
        query_segments: integer ``[B, Q]``; with ``key_segments``, a query sees the keys of its
            own segment (packed sequences).
        key_segments: integer ``[B, K]``.
        visible: an index function ``(b, h, q, k) -> bool`` as in FlexAttention, called with
            broadcastable index tensors for one block of rows at a time, or a dense bool tensor
            ``[1 | B, 1 | H, Q, K]``.

    Raises:
        ValueError: if a part has the wrong type, or one kind of segments comes without the other.
    """

    key_valid: Tensor | None = None
    _: KW_ONLY
    causal: bool = False
    window: int | None = None
    query_segments: Tensor | None = None
    key_segments: Tensor | None = None
    visible: IndexMask | Tensor | None = None

    def __post_init__(self) -> None:
        _require_bool("key_valid", self.key_valid, dims=2)
        if isinstance(self.visible, Tensor):
            _require_bool("visible", self.visible, dims=4)
        elif self.visible is not None and not callable(self.visible):
            raise ValueError(
                "visible must be a function (b, h, q, k) -> bool or a bool tensor "
                f"[1|B, 1|H, Q, K]; got {type(self.visible).__name__}"
            )
        if self.window is not None and (not isinstance(self.window, int) or self.window < 1):
            raise ValueError(f"window must be a positive integer or None; got {self.window!r}")
        if (self.query_segments is None) != (self.key_segments is None):
            raise ValueError("give query_segments and key_segments together, or neither")
        for name in ("query_segments", "key_segments"):
            segments = getattr(self, name)
            if segments is not None and (
                segments.dim() != 2 or segments.is_floating_point() or segments.is_complex()
            ):
                raise ValueError(
                    f"{name} must be an integer tensor of 2 dimensions; got {segments.dtype} "
                    f"{list(segments.shape)}"
                )

    def check_shape(self, shape: Shape, device: torch.device) -> None:
        """Raises ValueError unless the parts fit a relation of this shape on this device."""
        batch, heads, queries, keys = shape
        expected = {
            "key_valid": (batch, keys),
            "query_segments": (batch, queries),
            "key_segments": (batch, keys),
        }
        for name, size in expected.items():
            part = getattr(self, name)
            if part is not None and part.shape != size:
                raise ValueError(f"mask.{name} must be {list(size)}; got {list(part.shape)}")
        if isinstance(self.visible, Tensor):
            wanted = ({1, batch}, {1, heads}, {queries}, {keys})
            if not all(n in ok for n, ok in zip(self.visible.shape, wanted, strict=True)):
                raise ValueError(
                    f"mask.visible must be [1|{batch}, 1|{heads}, {queries}, {keys}]; "
                    f"got {list(self.visible.shape)}"
                )
        for name in (*expected, "visible"):
            part = getattr(self, name)
            if isinstance(part, Tensor) and part.device != device:
                raise ValueError(f"mask.{name} is on {part.device}, the query on {device}")

    def key_range(self, queries: slice, shape: Shape) -> tuple[int, int]:
        """Returns bounds outside which these queries see no key, as causal and window imply."""
        first = queries.start + shape.keys - shape.queries
        last = queries.stop - 1 + shape.keys - shape.queries
        start, stop = 0, shape.keys
        if self.causal:
            stop = min(stop, last + 1)
        if self.window is not None:
            start = max(start, first - self.window + 1 if self.causal else first - self.window)
            stop = min(stop, last + 1 if self.causal else last + self.window + 1)
        return start, stop

    def tile(self, tile: Tile, shape: Shape, device: torch.device) -> Tensor | None:
        """Returns the tile's mask, bool ``[b | 1, h | 1, q, k]``, or None where all is visible."""
        parts: list[Tensor] = []
        position = torch.arange(tile.queries.start, tile.queries.stop, device=device)[:, None]
        key = torch.arange(tile.keys.start, tile.keys.stop, device=device)
        distance = position + (shape.keys - shape.queries) - key
        if self.causal:
            parts.append(distance >= 0)
        if self.window is not None:
            near = distance < self.window if self.causal else distance.abs() <= self.window
            parts.append(near)
        if self.key_valid is not None:
            parts.append(self.key_valid[tile.batch, None, None, tile.keys])
        if self.query_segments is not None and self.key_segments is not None:
            query_segments = self.query_segments[tile.batch, None, tile.queries, None]
            parts.append(query_segments == self.key_segments[tile.batch, None, None, tile.keys])
        if self.visible is not None:
            parts.append(_visible_tile(self.visible, tile, device))
        if not parts:
            return None
        mask = parts[0]
        for part in parts[1:]:
            mask = mask & part
        size = (*(1,) * (4 - mask.dim()), *mask.shape)[:2]
        return mask.expand(*size, position.numel(), key.numel())


def visible_tile(
    masks: Sequence[AttentionMask], tile: Tile, shape: Shape, device: torch.device
) -> Tensor | None:
    """Returns the masks' conjunction on one tile, as `AttentionMask.tile` does."""
    visible: Tensor | None = None
    for mask in masks:
        part = mask.tile(tile, shape, device)
        if part is not None:
            visible = part if visible is None else visible & part
    return visible


def _visible_tile(visible: IndexMask | Tensor, tile: Tile, device: torch.device) -> Tensor:
    if isinstance(visible, Tensor):
        batch = tile.batch if visible.shape[0] > 1 else slice(None)
        heads = tile.heads if visible.shape[1] > 1 else slice(None)
        return visible[batch, heads, tile.queries, tile.keys]
    indices = []
    for dim, part in enumerate(tile):
        index = torch.arange(part.start, part.stop, device=device)
        indices.append(index.view([-1 if d == dim else 1 for d in range(4)]))
    mask = visible(*indices)
    if not isinstance(mask, Tensor) or mask.dtype != torch.bool:
        got = mask.dtype if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(f"the index function of mask.visible must return a bool tensor; got {got}")
    return mask


def _require_bool(name: str, tensor: Tensor | None, dims: int) -> None:
    if tensor is None:
        return
    if tensor.dtype != torch.bool:
        raise ValueError(
            f"{name} must be bool with True = visible; got {tensor.dtype}. Convert it: .bool() for "
            "a 0/1 mask, (mask == 0) for an additive one"
        )
    if tensor.dim() != dims:
        raise ValueError(f"{name} must have {dims} dimensions; got {list(tensor.shape)}")
