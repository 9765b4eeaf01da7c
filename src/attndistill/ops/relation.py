"""A relation: queries and keys whose rows of softmax probabilities are compared."""

import math
from dataclasses import KW_ONLY, dataclass, replace

import torch
from torch import Tensor

from .mask import AttentionMask, Shape


@dataclass(frozen=True, eq=False)
class Relation:
    """Everything that shapes one side's softmax over keys.

    The attention scores are ``softcap(scale * query @ key.mT) + bias``, where softcap(x) is
    ``c * tanh(x / c)``; masked keys are left out, and the divergences divide by the temperature
    last. Attention is the relation (query, key); MiniLM's value relation is (value, value)
    (Wang et al. 2020, https://arxiv.org/abs/2002.10957).

    Shapes: B batch, Hq query heads, Hk key heads, Q queries, K keys, D head width. Hq is a
    multiple of Hk; consecutive query heads share a key head (grouped-query attention). Nothing
    has to be contiguous.

    Attributes:
        query: floating ``[B, Hq, Q, D]``.
        key: floating ``[B, Hk, K, D]``, same dtype as the query.
        scale: factor on the dot products, commonly ``D ** -0.5``.
        mask: which keys are visible; None for all.
        bias: floating ``[1 | B, 1 | Hq, Q, K]``, added to the scores (T5's position bias). Not for
            masking: use ``mask``.
        softcap: the positive c of softcap; None for none (Gemma 2).
        sinks: floating ``[Hq]``: the score of one more outcome per row, "attend to nothing",
            that is always visible (gpt-oss). It takes part in the softmax and in every divergence
            like a key's score.

    Raises:
        ValueError: if shapes, dtypes or devices do not fit together.
    """

    query: Tensor
    key: Tensor
    scale: float
    _: KW_ONLY
    mask: AttentionMask | None = None
    bias: Tensor | None = None
    softcap: float | None = None
    sinks: Tensor | None = None

    def __post_init__(self) -> None:
        _check_query_and_key(self.query, self.key)
        if not math.isfinite(self.scale):
            raise ValueError(f"scale must be a finite number; got {self.scale!r}")
        if self.softcap is not None and not 0 < self.softcap < math.inf:
            raise ValueError(f"softcap must be positive and finite, or None; got {self.softcap!r}")
        batch, heads, queries, keys = self.shape
        if self.mask is not None:
            if not isinstance(self.mask, AttentionMask):
                raise ValueError(
                    f"mask must be an AttentionMask or None; got {type(self.mask).__name__}. Wrap "
                    "a bool tensor: AttentionMask(visible=tensor)"
                )
            self.mask.check_shape(self.shape, self.query.device)
        if self.bias is not None:
            wanted = ({1, batch}, {1, heads}, {queries}, {keys})
            if self.bias.dim() != 4 or not all(
                n in ok for n, ok in zip(self.bias.shape, wanted, strict=True)
            ):
                raise ValueError(
                    f"bias must be [1|{batch}, 1|{heads}, {queries}, {keys}]; "
                    f"got {list(self.bias.shape)}"
                )
        if self.sinks is not None and self.sinks.shape != (heads,):
            raise ValueError(f"sinks must be [{heads}]; got {list(self.sinks.shape)}")
        for name in ("bias", "sinks"):
            part = getattr(self, name)
            if part is not None and not part.is_floating_point():
                raise ValueError(f"{name} must be floating; got {part.dtype}")
            if part is not None and part.device != self.query.device:
                raise ValueError(f"{name} is on {part.device}, the query on {self.query.device}")

    @property
    def shape(self) -> Shape:
        """The sizes of the score tensor: batch, query heads, queries, keys."""
        batch, heads, queries, _ = self.query.shape
        return Shape(batch, heads, queries, self.key.shape[2])

    @property
    def group(self) -> int:
        """How many query heads share a key head."""
        return self.query.shape[1] // self.key.shape[1]

    def detach(self) -> "Relation":
        """Returns the same relation without a gradient history."""
        return replace(
            self,
            query=self.query.detach(),
            key=self.key.detach(),
            bias=None if self.bias is None else self.bias.detach(),
            sinks=None if self.sinks is None else self.sinks.detach(),
        )


def _check_query_and_key(query: Tensor, key: Tensor) -> None:
    if query.dim() != 4 or key.dim() != 4:
        raise ValueError(
            "query and key must be [batch, heads, length, head_dim]; got "
            f"{list(query.shape)} and {list(key.shape)}"
        )
    if query.shape[0] != key.shape[0] or query.shape[3] != key.shape[3]:
        raise ValueError(
            f"query {list(query.shape)} and key {list(key.shape)} must have one batch size and one "
            "head_dim"
        )
    if key.shape[1] == 0 or query.shape[1] % key.shape[1]:
        raise ValueError(
            f"query heads ({query.shape[1]}) must be a multiple of key heads ({key.shape[1]})"
        )
    if key.shape[2] == 0 or key.shape[3] == 0:
        raise ValueError(f"key must have at least one key and one feature; got {list(key.shape)}")
    if not query.is_floating_point() or query.dtype != key.dtype:
        raise ValueError(
            f"query and key must have one floating dtype; got {query.dtype} and {key.dtype}"
        )
    if query.device != key.device:
        raise ValueError(f"query is on {query.device}, key on {key.device}")


def compute_dtype(*relations: Relation) -> torch.dtype:
    """Returns float64 if a relation has it, else float32: the dtype rows are computed in."""
    doubles = (relation.query.dtype == torch.float64 for relation in relations)
    return torch.float64 if any(doubles) else torch.float32
