"""Which teacher heads teach which student heads, when their numbers differ.

Heads are selected, grouped or split anew on the queries and keys; no probability is formed.
"""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from ..errors import InputError
from ..ops import AttentionMask, Relation


def averaged_heads(teacher: Relation, heads: int) -> list[Relation]:
    """Relations whose probabilities, averaged, teach a student with ``heads`` heads.

    Student head h learns from the mean of the teacher heads in the same share of all heads: Ht / Hs
    neighbours. Where the student has more heads, Hs / Ht neighbours learn from one teacher head.

    Args:
        teacher: a relation of Ht heads.
        heads: Hs, the student's number of heads.

    Returns:
        Relations of ``heads`` heads each, for `attention_divergence` to average.

    Raises:
        InputError: neither number divides the other.
    """
    own = teacher.shape.heads
    if own % heads and heads % own:
        raise InputError(
            "heads: average needs one number of heads to divide the other, but the student has "
            f"{heads} and the teacher {own}; use heads: relation"
        )
    size = max(1, own // heads)
    return [
        select_heads(teacher, [head * own // heads + member for head in range(heads)])
        for member in range(size)
    ]


def select_heads(relation: Relation, heads: Sequence[int]) -> Relation:
    """The relation of these query heads, in this order; keys they share stay shared."""
    if list(heads) == list(range(relation.shape.heads)):
        return relation
    key_heads = [head // relation.group for head in heads]
    distinct = list(dict.fromkeys(key_heads))
    if key_heads == [head for head in distinct for _ in range(len(heads) // len(distinct))]:
        key_heads = distinct
    mask = relation.mask
    if mask is not None and isinstance(mask.visible, Tensor):
        mask = replace(mask, visible=_heads_of(mask.visible, heads))
    return replace(
        relation,
        query=_heads_of(relation.query, heads),
        key=_heads_of(relation.key, key_heads),
        mask=mask,
        bias=None if relation.bias is None else _heads_of(relation.bias, heads),
        sinks=None if relation.sinks is None else relation.sinks[list(heads)],
    )


def resplit(query: Tensor, key: Tensor, heads: int, *, like: Relation) -> Relation:
    """The relation of two tensors whose heads are concatenated and split anew into R heads.

    Its scale is (features of a relation head) ** -0.5; a softcap or sinks, which belong to the
    model's own heads, are left out (Wang et al. 2021, MiniLMv2,
    https://arxiv.org/abs/2012.15828).

    Args:
        query: [B, Hq, Q, D].
        key: [B, Hk, K, D], its heads repeated where they are fewer.
        heads: R, the number of relation heads.
        like: the model's attention, whose mask it takes.

    Raises:
        InputError: R does not divide the features, or the mask or bias differ between heads.
    """
    if key.shape[1] < query.shape[1]:
        key = key.repeat_interleave(query.shape[1] // key.shape[1], dim=1)
    features = query.shape[1] * query.shape[3]
    if features % heads:
        raise InputError(
            f"relation_heads {heads} does not divide {features} features ({query.shape[1]} heads "
            f"of {query.shape[3]}); choose a number that divides those of both models"
        )
    return Relation(
        _cut(query, heads),
        _cut(key, heads),
        (features // heads) ** -0.5,
        mask=_same_for_all_heads(like.mask),
        bias=_one_for_all_heads(like.bias),
    )


def _cut(tensor: Tensor, heads: int) -> Tensor:
    batch, _, length, _ = tensor.shape
    return tensor.transpose(1, 2).reshape(batch, length, heads, -1).transpose(1, 2)


def _heads_of(tensor: Tensor, heads: Sequence[int]) -> Tensor:
    """These heads of [B, H | 1, …]: a view where they are evenly spaced."""
    if tensor.shape[1] == 1:
        return tensor
    step = heads[1] - heads[0] if len(heads) > 1 else 1
    if step > 0 and list(heads) == list(range(heads[0], heads[-1] + 1, step)):
        return tensor[:, heads[0] : heads[-1] + 1 : step]
    return tensor[:, list(heads)]


def _same_for_all_heads(mask: AttentionMask | None) -> AttentionMask | None:
    if mask is not None and isinstance(mask.visible, Tensor) and mask.visible.shape[1] > 1:
        raise InputError(
            "this model masks its heads differently, and relation heads cut across them; use an "
            "attention term with heads: identity or average"
        )
    return mask


def _one_for_all_heads(bias: Tensor | None) -> Tensor | None:
    if bias is not None and bias.shape[1] > 1:
        raise InputError(
            "this model adds a different position bias to each head (as T5 does), and relation "
            "heads cut across them; use an attention term with heads: identity or average"
        )
    return bias
