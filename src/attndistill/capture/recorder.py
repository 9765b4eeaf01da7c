"""What one capture context wants, and the records of the forward under way."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InputError
from ..ops import AttentionMask
from .architectures import AttentionLayer
from .masks import BuiltMask, seen_mask
from .record import AttentionRecord

# Arguments of attention functions that choose keys or add to the softmax, and are not read.
UNREAD_ARGUMENTS = ("indices", "block_indices", "sinks")


class StopForward(Exception):
    """All wanted layers are recorded, and the rest of the forward is not needed."""


class Recorder:
    """Records the wanted attention layers of one model between `begin` and `end`.

    Args:
        model: the model.
        layers: all its attention layers.
        wanted: those to record, in the order of the records.
        values: whether to record values too.
        stop: whether to end the forward once all wanted layers are recorded.
    """

    def __init__(
        self,
        model: nn.Module,
        layers: Sequence[AttentionLayer],
        wanted: Sequence[AttentionLayer],
        *,
        values: bool,
        stop: bool = False,
    ) -> None:
        self.model = model
        self.wanted = list(wanted)
        modules = {layer.name: model.get_submodule(layer.name) for layer in wanted}
        # The layers of each module, one per call: ALBERT calls a module for several layers.
        self._layers_of = {
            module: [layer for layer in layers if layer.name == name]
            for name, module in modules.items()
        }
        self.values = values
        self.stop = stop
        self.records: list[AttentionRecord] = []
        self.built_masks: list[BuiltMask] = []
        self.generating = False
        self.active = False
        self._grad_enabled = False
        self._calls: Counter[nn.Module] = Counter()
        self._found: dict[AttentionLayer, AttentionRecord] = {}

    def begin(self) -> None:
        """A top-level forward starts."""
        self.records.clear()
        self.active = not self.generating
        self._grad_enabled = torch.is_grad_enabled()

    def complete(self) -> None:
        """A top-level forward ended well: publish its records, or say what is missing."""
        if not self.active:
            return
        missing = [layer for layer in self.wanted if layer not in self._found]
        if missing:
            names = ", ".join(f"{layer.stack} {layer.kind} {layer.layer}" for layer in missing)
            raise InputError(
                f"the forward did not call attention layer(s) {names}: layers are skipped at "
                "random when the model's config sets layerdrop; set it to 0"
            )
        self.records.extend(self._found[layer] for layer in self.wanted)

    def end(self) -> None:
        """A top-level forward ended, well or not."""
        self.active = False
        self.built_masks.clear()
        self._calls.clear()
        self._found.clear()

    def record(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attention_mask: Tensor | AttentionMask | None,
        kwargs: Mapping[str, Any],
        implementation: str,
    ) -> None:
        """Note the arguments of one attention call, if its module is wanted."""
        if not self.active or module not in self._layers_of:
            return
        layer = self._called_layer(module)
        if layer not in self.wanted:
            return
        self._check_gradient(layer)
        _check_readable(layer, query, attention_mask, kwargs, implementation)
        mask, bias = self._mask_and_bias(module, query, attention_mask, kwargs, implementation)
        scale = kwargs.get("scaling")
        self._found[layer] = AttentionRecord(
            query=query,
            key=key,
            value=value if self.values else None,
            scale=query.shape[-1] ** -0.5 if scale is None else float(scale),
            mask=mask,
            bias=bias,
            softcap=kwargs.get("softcap"),
            sinks=kwargs.get("s_aux"),
            stack=layer.stack,
            kind=layer.kind,
            layer=layer.layer,
        )
        if self.stop and len(self._found) == len(self.wanted):
            self.complete()
            raise StopForward

    def _called_layer(self, module: nn.Module) -> AttentionLayer:
        layers = self._layers_of[module]
        call = self._calls[module]
        self._calls[module] += 1
        if call >= len(layers):
            raise InputError(
                f"{layers[0].name} is called more often in a forward than the {len(layers)} "
                "time(s) that tell its layers apart; choose a model without shared layers"
            )
        return layers[call]

    def _check_gradient(self, layer: AttentionLayer) -> None:
        if self._grad_enabled and not torch.is_grad_enabled():
            raise InputError(
                f"{layer.name} runs without gradients inside a forward that has them: reentrant "
                "gradient checkpointing loses the gradient of attention; set "
                'gradient_checkpointing_kwargs={"use_reentrant": False}'
            )

    def _mask_and_bias(
        self,
        module: nn.Module,
        query: Tensor,
        attention_mask: Tensor | AttentionMask | None,
        kwargs: Mapping[str, Any],
        implementation: str,
    ) -> tuple[Any, Tensor | None]:
        # Where sdpa and flash get no Q×K mask they mask causally themselves, by this flag alone;
        # eager never does: its masks are always built.
        is_causal = kwargs.get("is_causal")
        is_causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
        mask, bias = seen_mask(
            attention_mask,
            self.built_masks,
            causal=bool(is_causal) and implementation != "eager" and query.shape[2] > 1,
            window=kwargs.get("sliding_window") if "flash" in implementation else None,
        )
        position_bias = kwargs.get("position_bias")
        if position_bias is not None:
            bias = position_bias if bias is None else bias + position_bias
        return mask, bias


def _check_readable(
    layer: AttentionLayer,
    query: Tensor,
    attention_mask: Tensor | AttentionMask | None,
    kwargs: Mapping[str, Any],
    implementation: str,
) -> None:
    unread = [name for name in UNREAD_ARGUMENTS if kwargs.get(name) is not None]
    if unread:
        raise InputError(
            f"{layer.name} shapes its softmax by {', '.join(unread)}, which capture does not read; "
            "use a model without it"
        )
    if "flash" not in implementation or attention_mask is not None:
        return
    # FlashAttention finds packed sequences by these, and separates them inside its kernel.
    positions = kwargs.get("position_ids")
    restarts = (
        query.shape[0] == 1
        and positions is not None
        and bool((positions[..., 1:] != positions[..., :-1] + 1).any())
    )
    if restarts or kwargs.get("cu_seq_lens_q") is not None:
        raise InputError(
            "packed sequences under FlashAttention are separated inside its kernel, where capture "
            'does not see it: set attn_implementation="sdpa", or pad instead of packing'
        )
