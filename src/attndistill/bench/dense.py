"""The textbook formulation: scores as a whole, softmax, loss, and autograd for the gradient.

Scores are formed as in Transformers' eager attention, and everything stays in the dtype of the
inputs. Log-probabilities come from ``log_softmax``, which is both quicker and more exact than the
logarithm of the probabilities that ``output_attentions=True`` returns.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def dense_loss(
    kind: str,
    student: tuple[Tensor, Tensor],
    teacher: tuple[Tensor, Tensor],
    scale: float,
    visible: Tensor | None,
) -> Tensor:
    """The mean loss over rows (for ``score_mse`` over visible pairs), as `attndistill.ops` has it.

    Args:
        kind: a divergence, or ``score_mse``.
        student: query and key ``[B, H, N, D]``.
        teacher: the same; no gradient is kept.
        scale: factor of the scores.
        visible: bool ``[N, N]``, True where a query sees a key; None for all.
    """
    scores_s = scores(*student, scale, visible)
    with torch.no_grad():
        scores_t = scores(*teacher, scale, visible)
    if kind == "score_mse":
        return _score_mse(scores_s, scores_t, visible)
    log_s = scores_s.log_softmax(-1)
    with torch.no_grad():
        log_t = scores_t.log_softmax(-1)
    return _divergence(kind, log_s, log_t) / math.prod(log_s.shape[:3])


def scores(query: Tensor, key: Tensor, scale: float, visible: Tensor | None) -> Tensor:
    """Attention scores ``[B, H, N, N]``; keys not seen get the lowest finite number."""
    product = torch.matmul(query, key.transpose(2, 3)) * scale
    if visible is None:
        return product
    return product.masked_fill(~visible, torch.finfo(product.dtype).min)


def _divergence(kind: str, log_s: Tensor, log_t: Tensor) -> Tensor:
    match kind:
        case "kl":
            return F.kl_div(log_s, log_t, reduction="sum", log_target=True)
        case "reverse_kl":
            return F.kl_div(log_t, log_s, reduction="sum", log_target=True)
        case "js":
            log_m = torch.logaddexp(log_s, log_t) - math.log(2)
            from_t = F.kl_div(log_m, log_t, reduction="sum", log_target=True)
            from_s = F.kl_div(log_m, log_s, reduction="sum", log_target=True)
            return (from_t + from_s) / 2
        case "mse":
            return F.mse_loss(log_s.exp(), log_t.exp(), reduction="sum")
        case "cosine":
            return (1 - F.cosine_similarity(log_s.exp(), log_t.exp(), dim=-1)).sum()
    raise ValueError(f"no dense formulation of {kind!r}")


def _score_mse(scores_s: Tensor, scores_t: Tensor, visible: Tensor | None) -> Tensor:
    total = F.mse_loss(scores_s, scores_t, reduction="sum")  # 0 where both are the lowest number
    if visible is None:
        return total / scores_s.numel()
    return total / (visible.sum() * math.prod(scores_s.shape[:2]))
