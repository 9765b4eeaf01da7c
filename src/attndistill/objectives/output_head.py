"""How a model's logits are formed, for some tokens at a time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..capture.architectures import (
    logits_bias,
    logits_scale,
    logits_softcap,
    output_embeddings,
    transformers_model,
)
from ..capture.forward import evaluating, run_model


@dataclass(frozen=True, kw_only=True, eq=False)
class OutputHead:
    """From hidden states to logits: softcap(scale · linear(hidden)) + bias.

    Attributes:
        linear: the output embedding, with its adapters, if any.
        scale: factor on its output (Cohere, Granite).
        softcap: logits are bounded to ±softcap by tanh (Gemma), or None.
        bias: added to the logits (BART), [V], or None.
    """

    linear: nn.Module
    scale: float
    softcap: float | None
    bias: Tensor | None

    def finish(self, projected: Tensor) -> Tensor:
        """The logits from the linear layer's output: scale, softcap and bias."""
        logits = projected * self.scale if self.scale != 1.0 else projected
        if self.softcap is not None:
            logits = self.softcap * torch.tanh(logits / self.softcap)
        return logits if self.bias is None else logits + self.bias.to(logits.device)


@dataclass(frozen=True, kw_only=True, eq=False)
class HiddenLogits:
    """A model's logits, not yet formed.

    Attributes:
        hidden: the hidden states that its output head received, [B, N, D].
        head: the output head.
        autocast: the dtype of the forward's autocast, or None.
        device: where the logits are wanted.
    """

    hidden: Tensor
    head: OutputHead
    autocast: torch.dtype | None
    device: torch.device

    @property
    def vocabulary(self) -> int:
        """V, the number of logits of a token."""
        weight: Any = self.head.linear.weight
        return weight.shape[0]

    def form(self, hidden: Tensor) -> Tensor:
        """The logits [n, V] of some of the hidden states [n, D]."""
        device = self.hidden.device.type
        with torch.autocast(device, dtype=self.autocast, enabled=self.autocast is not None):
            return self.head.finish(self.head.linear(hidden)).to(self.device)


@contextmanager
def headless(head: OutputHead, device: torch.device) -> Iterator[list[HiddenLogits]]:
    """Keep a model's forward from forming logits; the list collects what forms them later.

    Args:
        head: the model's output head.
        device: where the logits are wanted later.
    """
    caught: list[HiddenLogits] = []

    def withhold(_: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor]:
        (hidden,) = arguments
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else None
        caught.append(HiddenLogits(hidden=hidden, head=head, autocast=dtype, device=device))
        return (hidden[:, :0],)

    handle = head.linear.register_forward_pre_hook(withhold)
    try:
        yield caught
    finally:
        handle.remove()


def output_head(model: nn.Module) -> OutputHead | None:
    """The head of a language model, or None where its logits are not formed as in `OutputHead`.

    Its parts are found by their names in Transformers' configs, and then checked: the model's
    forward must give the same logits as they do, for values large enough to show a softcap.
    """
    inner = transformers_model(model)
    linear = output_embeddings(inner)
    if linear is None:
        return None
    head = OutputHead(
        linear=linear,
        scale=logits_scale(inner),
        softcap=logits_softcap(inner),
        bias=logits_bias(inner),
    )
    return head if _is_the_whole_head(inner, head) else None


def _is_the_whole_head(model: nn.Module, head: OutputHead) -> bool:
    if getattr(model, "main_input_name", "input_ids") != "input_ids":
        return False
    device = next(model.parameters()).device
    # The weights of an offloaded model are on the meta device; its hooks move the inputs.
    tokens = torch.tensor([[0, 1, 1]], device="cpu" if device.type == "meta" else device)
    batch = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}
    if getattr(model.config, "is_encoder_decoder", False):
        batch["decoder_input_ids"] = tokens
    expected: list[Tensor] = []

    def probe(_: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor:
        projected = torch.linspace(-50, 50, output.shape[-1], device=output.device)
        projected = projected.to(output.dtype).expand_as(output)
        if len(arguments) == 1 and arguments[0].shape[:2] == tokens.shape:
            expected.append(head.finish(projected))
        return projected

    handle = head.linear.register_forward_hook(probe)
    try:
        with torch.no_grad(), evaluating(model):
            logits = run_model(model, batch).logits
    finally:
        handle.remove()
    if len(expected) != 1 or expected[0].shape != logits.shape:
        return False
    tolerance = 4 * torch.finfo(expected[0].dtype).eps
    return torch.allclose(logits.float(), expected[0].float(), rtol=tolerance, atol=tolerance)
