"""Where a teacher's weights are: on the student's device, or where its loader has put them."""

import torch
from torch import nn


def place_teacher(teacher: nn.Module, device: torch.device) -> None:
    """Move a teacher to a device, unless it has been placed already.

    A model that accelerate spreads or offloads (``device_map``, ``cpu_offload``, ``disk_offload``)
    fetches its weights and inputs itself and must not be moved. One that is on the device already
    is left alone too: not every kind of quantized weights can be moved.
    """
    fetched = any(hasattr(module, "_hf_hook") for module in teacher.modules())
    if not fetched and any(weight.device != device for weight in teacher.parameters()):
        teacher.to(device)
