"""What one capture context wants, and the records of the forward under way."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import nn

from ..errors import InputError
from .architectures import AttentionLayer
from .attention_call import AttentionCall
from .masks import BuiltMask, mask_and_bias
from .record import AttentionRecord


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

    def wants(self, module: nn.Module) -> bool:
        """Whether a call of this attention module has to be given to `record` now."""
        return self.active and module in self._layers_of

    def record(self, module: nn.Module, call: AttentionCall) -> None:
        """Note one call of a module that this recorder `wants`, if its layer is asked for."""
        layer = self._called_layer(module)
        if layer not in self.wanted:
            return
        self._check_gradient(layer)
        _check_readable(layer, call)
        mask, bias = mask_and_bias(call, self.built_masks)
        self._found[layer] = AttentionRecord(
            query=call.query,
            key=call.key,
            value=call.value if self.values else None,
            scale=call.scaling,
            mask=mask,
            bias=bias,
            softcap=call.softcap,
            sinks=call.sinks,
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


def _check_readable(layer: AttentionLayer, call: AttentionCall) -> None:
    if call.unread:
        raise InputError(
            f"{layer.name} shapes its softmax by {', '.join(call.unread)}, which capture does not "
            "read; use a model without it"
        )
    if call.separates_packed:
        raise InputError(
            "packed sequences under FlashAttention are separated inside its kernel, where capture "
            'does not see it: set attn_implementation="sdpa", or pad instead of packing'
        )
