"""What one attention layer computed its probabilities from."""

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor

from ..ops import AttentionMask, Relation
from ..ops.reference import attention_probs


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionRecord:
    """Query and key of one attention layer in one forward, and all that shapes their softmax.

    They are the tensors that the model's own attention function was called with: after rotary
    positions and query/key norms, keys of grouped-query attention not repeated, before dropout.

    Attributes:
        query: [B, Hq, Q, D].
        key: [B, Hk, K, D].
        value: [B, Hk, K, Dv], or None unless asked for.
        scale: factor on query · key.
        mask: which keys a query sees, or None for all.
        bias: additive scores [1|B, 1|Hq, Q, K], or None.
        softcap: scores are bounded to ±softcap by tanh, or None.
        sinks: learned logits [Hq] of attending to nothing, or None.
        stack: ``"encoder"``, ``"decoder"``, ``"text"`` or ``"vision"``.
        kind: ``"self"`` or ``"cross"``.
        layer: 0-based number within stack and kind.
    """

    query: Tensor
    key: Tensor
    value: Tensor | None
    scale: float
    mask: AttentionMask | None
    bias: Tensor | None
    softcap: float | None
    sinks: Tensor | None
    stack: str
    kind: str
    layer: int

    def relation(self) -> Relation:
        """The relation (query, key), as the losses take it."""
        return Relation(
            self.query,
            self.key,
            self.scale,
            mask=self.mask,
            bias=self.bias,
            softcap=self.softcap,
            sinks=self.sinks,
        )

    def to(self, device: torch.device) -> "AttentionRecord":
        """The record on a device; itself where it is there."""
        if self.query.device == device:
            return self
        return _moved(self, device)

    def attention_probs(self) -> Tensor:
        """The attention probabilities [B, Hq, Q, K], dense: for tests and pictures.

        Rows with no visible key are zero.
        """
        return attention_probs(self.relation())


def _moved(parts: Any, device: torch.device) -> Any:
    """A dataclass of tensors and masks on a device."""
    changes = {}
    for field in fields(parts):
        part = getattr(parts, field.name)
        if isinstance(part, AttentionMask):
            changes[field.name] = _moved(part, device)
        elif isinstance(part, Tensor):
            changes[field.name] = part.to(device)
    return replace(parts, **changes)
