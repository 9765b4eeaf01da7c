"""The squared difference of raw scores in linear time, through Gram matrices.

The score difference is a product of stacked factors: with q = scale * query,

    E = S_s - S_t = Q' K'^T,   Q' = [q_s, -q_t],   K' = [K_s, K_t],

for teachers of any widths, several of them too. A row's value is sum_k E^2 = (E K') . q', and the
gradients are dS_s = 2E, dQ_s = 2 scale E K_s and dK_s = 2 E^T q_s. So everything follows from
E K' = Q' (K'^T K') and E^T q_s = K' (Q'^T q_s): small matrices, and no score is formed.

Products are taken in float64, because |E|^2 is what remains when sums of |S|^2 cancel: in float32,
a difference of a thousandth of the scores would have a square off by 6 %. See docs/engine.md,
section 6.
"""

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ..problem import Problem
from ..relation import Relation
from .gram_pieces import Piece
from .tiles import Sweep

# B batch, U groups of heads, G heads of a group (they share all keys), Q queries, K keys, E width
# of the stacked factors

# Elements of a stacked factor handled at once: what is computed from them stays in the cache.
STACKED_ELEMENTS = 2**19
# On an accelerator: large enough that kernel launches do not dominate the time.
DEVICE_STACKED_ELEMENTS = 2**26
# Queries of a causal piece whose scores are formed: about a stacked width.
CAUSAL_BLOCK = 128


class GramGradients(NamedTuple):
    """Gradients of the student's query and key; None for what needs none."""

    query: Tensor | None
    key: Tensor | None

    def tensors(self) -> tuple[Tensor | None, ...]:
        """Returns the gradients of query, key, bias and sinks."""
        return self.query, self.key, None, None


class Stacked(NamedTuple):
    """The stacked factors of a part of the batch, the heads, the queries and the keys."""

    query: Tensor
    """Q', ``[B, U, G, Q, E]``."""
    key: Tensor
    """K', ``[B, U, K, E]``."""


def gram_sweep(
    problem: Problem, weights: Tensor | None, needs: tuple[bool, ...], pieces: list[Piece]
) -> Sweep:
    """Does what `sweep` does, for raw scores that fall into these pieces."""
    batch, heads, queries, keys = problem.shape
    values = problem.student.query.new_zeros((batch, heads, queries), dtype=problem.dtype)
    seen = torch.zeros((batch, 1, queries), dtype=torch.int64, device=problem.device)
    weights = values.new_ones(()) if weights is None else weights
    weights = weights.expand(values.shape)
    gradients = GramGradients(
        *(
            tensor.new_zeros(tensor.shape, dtype=problem.dtype) if needed else None
            for tensor, needed in zip(
                (problem.student.query, problem.student.key), needs[:2], strict=True
            )
        )
    )
    valid = torch.ones((batch, keys), dtype=torch.bool, device=problem.device)
    for mask in problem.masks:
        if mask.key_valid is not None:
            valid = valid & mask.key_valid
    with torch.no_grad(), torch.autocast(problem.device.type, enabled=False):
        for piece in pieces:
            seen[piece.batch, 0, piece.queries] = _count_keys(valid, piece)
            for part, some_heads in _parts(problem, piece):
                _compare(problem, part, some_heads, valid, weights, values, gradients)
    return Sweep(values, seen.expand(batch, heads, queries), gradients)


def _parts(problem: Problem, piece: Piece) -> Iterator[tuple[Piece, slice]]:
    """Yields parts of the piece's batch with heads; heads that share a key stay together."""
    unit = math.lcm(*(relation.group for relation in problem.relations))
    width = sum(relation.query.shape[-1] for relation in problem.relations)
    head_size = width * max(
        piece.queries.stop - piece.queries.start, piece.keys.stop - piece.keys.start
    )
    heads = problem.shape.heads
    most = STACKED_ELEMENTS if problem.device.type == "cpu" else DEVICE_STACKED_ELEMENTS
    head_step = min(heads, max(1, most // (head_size * unit)) * unit)
    batch_step = max(1, most // (head_size * heads))
    for start in range(piece.batch.start, piece.batch.stop, batch_step):
        part = piece._replace(batch=slice(start, min(start + batch_step, piece.batch.stop)))
        for first in range(0, heads, head_step):
            yield part, slice(first, min(first + head_step, heads))


def _compare(
    problem: Problem,
    piece: Piece,
    heads: slice,
    valid: Tensor,
    weights: Tensor,
    values: Tensor,
    gradients: GramGradients,
) -> None:
    student = problem.student
    width = student.query.shape[-1]
    rows = piece.batch, heads, piece.queries
    stacked = _stack(problem, piece, heads)
    stacked.key.mul_(valid[piece.batch, None, piece.keys, None])
    row_weights = weights[rows].reshape(*stacked.query.shape[:-1], 1).double()
    weighted = stacked.query[..., :width] * row_weights
    over_keys = torch.zeros_like(stacked.query)
    over_queries = weighted.new_zeros(*stacked.key.shape[:-1], width)
    if piece.offset is None:
        _add_all(stacked, weighted, over_keys, over_queries)
    else:
        _add_causal(stacked, weighted, over_keys, over_queries, piece.offset)

    squares = torch.linalg.vecdot(over_keys, stacked.query).clamp_min_(0)
    values[rows] = (squares * row_weights.squeeze(-1)).view(values[rows].shape).to(values.dtype)
    if gradients.query is not None:
        place = gradients.query[rows]
        gradient = over_keys[..., :width] * (2 * student.scale * row_weights)
        place.copy_(gradient.view(place.shape))
    if gradients.key is not None:
        place = gradients.key[piece.batch, _key_heads(student, heads), piece.keys]
        place.copy_(over_queries.reshape(*place.shape[:2], -1, *place.shape[2:]).sum(2).mul_(2))


def _stack(problem: Problem, piece: Piece, heads: slice) -> Stacked:
    group = math.gcd(*(relation.group for relation in problem.relations))
    shares = [1.0] + [-1 / len(problem.teachers)] * len(problem.teachers)
    queries, keys = [], []
    for relation, share in zip(problem.relations, shares, strict=True):
        query = relation.query[piece.batch, heads, piece.queries].double()
        queries.append(query.unflatten(1, (-1, group)) * (relation.scale * share))
        key = relation.key[piece.batch, _key_heads(relation, heads), piece.keys].double()
        keys.append(key.repeat_interleave(relation.group // group, dim=1))
    return Stacked(torch.cat(queries, -1), torch.cat(keys, -1))


def _key_heads(relation: Relation, heads: slice) -> slice:
    return slice(heads.start // relation.group, heads.stop // relation.group)


def _count_keys(valid: Tensor, piece: Piece) -> Tensor:
    """Returns how many valid keys each query of a piece sees, ``[b, q]`` or ``[b, 1]``."""
    up_to = valid[piece.batch, piece.keys].cumsum(-1)
    if piece.offset is None:
        return up_to[:, -1:]
    none = torch.zeros_like(up_to[:, :1])
    query = torch.arange(piece.queries.stop - piece.queries.start, device=valid.device)
    seen = (query + piece.offset + 1).clamp(0, up_to.shape[-1])
    return torch.cat([none, up_to], -1)[:, seen]


def _add_all(stacked: Stacked, weighted: Tensor, over_keys: Tensor, over_queries: Tensor) -> None:
    """Adds E K' and E^T (the weighted q_s) where every query sees every key."""
    query, key = stacked
    over_keys += (query.flatten(2, 3) @ (key.mT @ key)).view(query.shape)
    over_queries += key @ (query.flatten(2, 3).mT @ weighted.flatten(2, 3))


def _add_causal(
    stacked: Stacked, weighted: Tensor, over_keys: Tensor, over_queries: Tensor, offset: int
) -> None:
    """Adds the same where query q sees keys k <= q + offset.

    The product K'^T K' of the keys before a block of queries, and Q'^T q_s of the queries after a
    block of keys, are carried along; scores are formed only between the two blocks on the diagonal.
    """
    query, key = stacked
    queries, keys = query.shape[-2], key.shape[-2]
    rows = [slice(q, q + CAUSAL_BLOCK) for q in range(max(0, -offset), queries, CAUSAL_BLOCK)]
    blocks = [(r, slice(min(r.start + offset, keys), min(r.stop + offset, keys))) for r in rows]
    before = slice(0, blocks[0][1].start if blocks else 0)
    gram = key[..., before, :].mT @ key[..., before, :]
    for row, column in blocks:
        query_block, key_block = query[..., row, :], key[..., column, :].unsqueeze(2)
        scores = (query_block @ key_block.mT).tril_()
        over_keys[..., row, :] += query_block @ gram.unsqueeze(2) + scores @ key_block
        over_queries[..., column, :] += (scores.mT @ weighted[..., row, :]).sum(2)
        gram += (key_block.mT @ key_block).squeeze(2)
    gram = gram.new_zeros(gram.shape[:-1] + weighted.shape[-1:])
    for row, column in reversed(blocks):
        over_queries[..., column, :] += key[..., column, :] @ gram
        gram += (query[..., row, :].mT @ weighted[..., row, :]).sum(2)
    over_queries[..., before, :] += key[..., before, :] @ gram
