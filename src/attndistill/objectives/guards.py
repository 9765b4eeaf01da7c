"""Guards against training on nothing: a term that is constant, silent or not finite."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import ObjectiveError
from .plan import ObjectivePlan


@dataclass(frozen=True, kw_only=True)
class TermReading:
    """One term at one step.

    Attributes:
        value: its mean (before the weight).
        weight: its factor in the objective.
        gradient_norm: ‖∂(weight · value)/∂ student parameters‖₂.
    """

    value: float
    weight: float
    gradient_norm: float


def read_terms(
    plan: ObjectivePlan, means: Mapping[str, Tensor], parameters: Sequence[nn.Parameter]
) -> dict[str, TermReading]:
    """Read each term's value and gradient, and refuse a term that teaches nothing.

    One backward per term over a retained graph: for the first step of a run, not for every one.

    Args:
        plan: the fitted objective.
        means: each term's mean with its graph.
        parameters: the student's trainable parameters.

    Raises:
        ObjectiveError: a term or its gradient is not finite, or a term is a constant or reaches no
            trainable parameter. A term that is exactly 0 with a graph is accepted: the student may
            start as its teacher.
    """
    return {
        name: TermReading(
            value=float(mean.detach()),
            weight=plan.terms[name].weight,
            gradient_norm=_gradient_norm(name, plan.terms[name].weight * mean, parameters),
        )
        for name, mean in means.items()
    }


def check_finite_terms(values: Mapping[str, float], when: str) -> None:
    """Stop on a term that is not finite; ``when`` says where in the run, for the message.

    Raises:
        ObjectiveError: naming the term.
    """
    for name, value in values.items():
        if not torch.isfinite(torch.tensor(value)):
            raise ObjectiveError(
                f"the objective's term {name!r} is {value} {when}: lower learning_rate, "
                "set max_grad_norm, or train in bf16 or fp32 instead of fp16"
            )


def _gradient_norm(name: str, value: Tensor, parameters: Sequence[nn.Parameter]) -> float:
    first = float(value.detach())
    if not math.isfinite(first):
        raise ObjectiveError(
            f"the objective's term {name!r} is {first} before the first update: check its weight "
            "and temperature, the labels, and the models' weights"
        )
    silent = f"the objective's term {name!r} teaches the student nothing: "
    if not value.requires_grad:
        raise ObjectiveError(
            f"{silent}it is a constant without gradient; check that the student has trainable "
            "parameters and that this term depends on them"
        )
    gradients = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
    reached = [gradient for gradient in gradients if gradient is not None]
    norm = float(torch.stack([g.float().norm() for g in reached]).norm()) if reached else 0.0
    if not math.isfinite(norm):
        raise ObjectiveError(
            f"the gradient of the objective's term {name!r} is {norm} before the first update: "
            "check its weight and temperature, and the models' weights"
        )
    if norm == 0.0 and first != 0.0:
        raise ObjectiveError(
            f"{silent}its gradient is zero for every trainable parameter; are the layers it "
            "compares frozen?"
        )
    if not reached:
        raise ObjectiveError(f"{silent}it depends on no trainable parameter")
    return norm
