"""What one attention layer computes its probabilities from, as its attention function is called."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from ..ops import AttentionMask

# Arguments of attention functions that choose keys or add to the softmax, and are not read.
UNREAD_ARGUMENTS = ("indices", "block_indices", "sinks")


@dataclass(frozen=True, kw_only=True, eq=False)
class AttentionCall:
    """What an attention function is called with, and what it does with it by itself.

    Attributes:
        query: [B, Hq, Q, D].
        key: [B, Hk, K, D].
        value: [B, Hk, K, Dv].
        attention_mask: the module's own mask: None, a bool or additive [B, 1|H, Q, K] tensor, or
            the [B, K] key padding that FlashAttention takes; or the `AttentionMask` it amounts to.
        scaling: factor on query · key.
        position_bias: additive scores [1|B, 1|Hq, Q, K], or None.
        softcap: scores are bounded to ±softcap by tanh, or None.
        sinks: learned logits [Hq] of attending to nothing, or None.
        is_causal: whether the function itself masks causally when it is given no
            [B, 1|H, Q, K] mask.
        sliding_window: the window that the function itself applies then, or None.
        separates_packed: whether the function itself separates the sequences packed in a row.
        unread: names of arguments that shape the softmax in a way that no field describes.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    attention_mask: Tensor | AttentionMask | None
    scaling: float
    position_bias: Tensor | None = None
    softcap: float | None = None
    sinks: Tensor | None = None
    is_causal: bool = False
    sliding_window: int | None = None
    separates_packed: bool = False
    unread: tuple[str, ...] = ()

    @classmethod
    def of_interface(
        cls,
        module: nn.Module,
        implementation: str,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | None,
        options: Mapping[str, Any],
    ) -> "AttentionCall":
        """A call of a function in Transformers' ``AttentionInterface``.

        Args:
            module: the attention module that calls it.
            implementation: the function's name, such as ``"sdpa"``.
            query: as the function is given it.
            key: likewise.
            value: likewise.
            attention_mask: likewise.
            options: its keyword arguments.
        """
        flash = "flash" in implementation
        scaling, is_causal = options.get("scaling"), options.get("is_causal")
        if is_causal is None:
            is_causal = getattr(module, "is_causal", True)
        return cls(
            query=query,
            key=key,
            value=value,
            attention_mask=attention_mask,
            scaling=query.shape[-1] ** -0.5 if scaling is None else float(scaling),
            position_bias=options.get("position_bias"),
            softcap=options.get("softcap"),
            sinks=options.get("s_aux"),
            # Where sdpa and flash get no Q×K mask they mask causally themselves, by this flag
            # alone; eager never does: its masks are always built.
            is_causal=bool(is_causal) and implementation != "eager" and query.shape[2] > 1,
            sliding_window=options.get("sliding_window") if flash else None,
            separates_packed=flash and attention_mask is None and _packed(query, options),
            unread=tuple(name for name in UNREAD_ARGUMENTS if options.get(name) is not None),
        )


def _packed(query: Tensor, options: Mapping[str, Any]) -> bool:
    """Whether FlashAttention finds several sequences in a row."""
    if options.get("cu_seq_lens_q") is not None:
        return True
    positions = options.get("position_ids")
    if positions is None or query.shape[0] != 1:
        return False
    return bool((positions[..., 1:] != positions[..., :-1] + 1).any())
