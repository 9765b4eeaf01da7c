"""Floating-point operations of a forward: in total and in the transformer layers alone."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count
from transformers import PreTrainedModel

from ..errors import InputError
from .inference import inference, input_size
from .parameters import transformer_layers

# FlopCounterMode sees every operation of these; an external kernel would count as nothing.
COUNTABLE_ATTENTION = ("eager", "sdpa")


@dataclass(frozen=True, kw_only=True)
class Flops:
    """Floating-point operations per example: each multiply–add of a matrix product counts two.

    Attributes:
        total: of the whole forward.
        layers: of the transformer layers alone (without embeddings, pooler and head).
        input_size: of the example, such as "24 tokens"; attention grows with its square.
    """

    total: int
    layers: int
    input_size: str


def count_flops(model: PreTrainedModel, batch: dict[str, Tensor]) -> Flops:
    """Count the operations of one forward, per example of ``batch``.

    Softmax, norms and activations are not counted, as usual in the field; padding is.

    Raises:
        InputError: the model's attention implementation cannot be counted.
    """
    implementation = model.config._attn_implementation
    if implementation not in COUNTABLE_ATTENTION:
        raise InputError(
            f"FLOPs cannot be counted under attn_implementation={implementation!r}; load the model "
            f"with one of {', '.join(COUNTABLE_ATTENTION)} (the count is the same)"
        )
    formulas = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _cpu_sdpa_flops}
    with inference(model), FlopCounterMode(display=False, custom_mapping=formulas) as counter:
        model(**batch)
    by_module = {name: sum(ops.values()) for name, ops in counter.get_flop_counts().items()}
    root = type(model).__name__
    examples = len(next(iter(batch.values())))
    return Flops(
        total=counter.get_total_flops() // examples,
        layers=sum(by_module[f"{root}.{name}"] for name in transformer_layers(model)) // examples,
        input_size=input_size(batch),
    )


def _cpu_sdpa_flops(
    query_shape: torch.Size,
    key_shape: torch.Size,
    value_shape: torch.Size,
    *_: object,
    **__: object,
) -> int:
    """FlopCounterMode has no formula for SDPA on a CPU (torch 2.13) and would count zero."""
    return sdpa_flop_count(query_shape, key_shape, value_shape)
