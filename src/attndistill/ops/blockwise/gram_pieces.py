"""How a mask falls into pieces whose rows all see the same keys, or a growing number of them."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..problem import Problem


class Piece(NamedTuple):
    """A block of the scores outside which its queries see nothing, key padding apart."""

    batch: slice
    queries: slice
    keys: slice
    offset: int | None
    """If causal, query q of the block sees its keys k <= q + offset; None: all keys."""


def linear_pieces(problem: Problem) -> list[Piece] | None:
    """Returns the pieces of raw scores that Gram matrices can compare; None if they cannot.

    Scores must be plain dot products, and only key padding, causality and contiguous segments may
    restrict what a query sees. Whether segments are contiguous is read from the tensors, which
    would make the host wait for an accelerator: there they count as not contiguous.
    """
    plain = all(side.bias is None and side.softcap is None for side in problem.relations)
    simple = all(mask.window is None and mask.visible is None for mask in problem.masks)
    segmented = [mask for mask in problem.masks if mask.query_segments is not None]
    if problem.divergence is not None or not plain or not simple or len(segmented) > 1:
        return None
    if problem.device.type == "mps":  # has no float64
        return None
    batch, _, queries, keys = problem.shape
    causal = any(mask.causal for mask in problem.masks)
    if not segmented:
        offset = keys - queries if causal else None
        return [Piece(slice(0, batch), slice(0, queries), slice(0, keys), offset)]
    query_segments, key_segments = segmented[0].query_segments, segmented[0].key_segments
    if query_segments is None or key_segments is None or problem.device.type != "cpu":
        return None
    pieces: list[Piece] = []
    for entry in range(batch):
        query_runs, key_runs = _runs(query_segments[entry]), _runs(key_segments[entry])
        if query_runs is None or key_runs is None:
            return None
        for segment in query_runs.keys() & key_runs.keys():
            rows, columns = query_runs[segment], key_runs[segment]
            offset = rows.start + keys - queries - columns.start if causal else None
            pieces.append(Piece(slice(entry, entry + 1), rows, columns, offset))
    return pieces


def _runs(segments: Tensor) -> dict[int, slice] | None:
    """Returns where each segment lies; None if one lies in several places."""
    values, lengths = torch.unique_consecutive(segments, return_counts=True)
    runs = dict(zip(values.tolist(), _slices_of(lengths.tolist()), strict=True))
    return runs if len(runs) == values.numel() else None


def _slices_of(lengths: list[int]) -> Iterator[slice]:
    start = 0
    for length in lengths:
        yield slice(start, start + length)
        start += length
