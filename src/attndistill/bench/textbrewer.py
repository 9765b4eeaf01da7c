"""TextBrewer's attention losses (Yang et al. 2020, https://arxiv.org/abs/2002.12620)."""

import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType

import torch
from torch import Tensor

from .dense import scores

KINDS = ("kl", "mse", "score_mse")
NEEDED = "TextBrewer is not measured; to have it: pip install --no-deps textbrewer==0.2.1.post1"


def is_installed() -> bool:
    """Whether the package is installed, with or without its dependencies."""
    return find_spec("textbrewer") is not None


def load_losses() -> ModuleType:
    """TextBrewer's module of losses alone: importing the whole package needs tensorboard."""
    if "textbrewer.losses" not in sys.modules:
        spec = find_spec("textbrewer")
        if spec is None:
            raise ImportError(NEEDED)
        sys.modules["textbrewer"] = module_from_spec(spec)
        try:
            import_module("textbrewer.losses")
        finally:
            del sys.modules["textbrewer"]
    return sys.modules["textbrewer.losses"]


def textbrewer_loss(
    kind: str,
    student: tuple[Tensor, Tensor],
    teacher: tuple[Tensor, Tensor],
    scale: float,
) -> Tensor:
    """TextBrewer's loss for ``kl``, ``mse`` or ``score_mse``, on maps as its users give it.

    Its ``att_ce_loss`` is the cross-entropy: KL plus the teacher's entropy, with KL's gradient. A
    mask of ones is given because without one both losses treat scores below −0.001 as masked.
    """
    losses = load_losses()
    maps_s = scores(*student, scale, None)
    with torch.no_grad():
        maps_t = scores(*teacher, scale, None)
    keys = maps_s.shape[-1]
    mask = torch.ones(maps_s.shape[0], keys, device=maps_s.device)
    match kind:
        case "kl":
            return losses.att_ce_loss(maps_s, maps_t, mask)
        case "score_mse":
            return losses.att_mse_loss(maps_s, maps_t, mask)
        case "mse":
            # Its mean over pairs, as a mean over rows.
            return keys * losses.att_mse_loss(maps_s.softmax(-1), maps_t.softmax(-1), mask)
    raise ValueError(f"TextBrewer has no loss for {kind!r}")
