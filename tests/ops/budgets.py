"""How far a backend may be from the fp64 reference, derived for each case, never tuned.

Granted are twice plain PyTorch's own error (the dense reference on the same inputs in their dtypes)
and what no algorithm can avoid: the effect of an input's last bit, and one rounding of the score
gradients to the inputs' dtype before their products with keys and queries. The last bit counts
because plain PyTorch's error on a few numbers may be small by luck.
"""

from dataclasses import replace

import torch
from ops.inputs import LARGEST_WEIGHT, SCALE, Inputs, change_parts, compare, outcome, weighted_sum
from ops.strategies import Case

# The reference in float64 is itself no better where terms of order one cancel.
ORACLE_ERROR = 1e-14
# Of a dot product, an exponential, a sum and a quotient, whatever their order.
ROUNDINGS = 4


def exact_outcome(case: Case, inputs: Inputs) -> dict[str, torch.Tensor]:
    """What the reference gives in float64 for the inputs as they are."""
    return outcome(case, inputs.map(torch.Tensor.double), "reference")


def allowed_errors(
    case: Case, inputs: Inputs, exact: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """The largest error allowed to any element of each part of an outcome, counts apart."""
    plain = outcome(case, inputs, "reference")
    moved = [outcome(case, last_bits_moved(inputs, seed), "reference") for seed in range(3)]
    roundings = gradient_roundings(case, inputs) | {"total": total_rounding(exact["total"])}
    return {
        name: 2 * largest(plain[name], exact[name])
        + max(largest(other[name], exact[name]) for other in moved)
        + roundings[name]
        + ORACLE_ERROR * (1 + inputs.student.query.double().abs().sum())
        for name in exact
        if name != "count"
    }


def largest(result: torch.Tensor, exact: torch.Tensor) -> torch.Tensor:
    return (result.double() - exact.double()).abs().max()


def total_rounding(total: torch.Tensor) -> torch.Tensor:
    """The effect of rounding the sum, and the gaps of whose squares it is made."""
    size = total.abs().max()
    return torch.finfo(torch.float32).eps * (ROUNDINGS * size + size.sqrt())


def last_bits_moved(inputs: Inputs, seed: int) -> Inputs:
    """The inputs in float64, each moved by a rounding of float32, and the scores by one more."""
    generator = torch.Generator().manual_seed(seed)
    eps = torch.finfo(torch.float32).eps

    def noise(tensor):
        normal = torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
        return ROUNDINGS * eps * normal.to(tensor.device)

    def move(relation):
        relation = change_parts(relation, lambda t: t.double() * (1 + noise(t)))
        extras = {"bias": relation.bias, "sinks": relation.sinks}
        moved = {n: t + noise(t) for n, t in extras.items() if t is not None}
        return replace(relation, **moved)

    return Inputs(move(inputs.student), [move(t) for t in inputs.teachers], inputs.rows)


def gradient_roundings(case: Case, inputs: Inputs) -> dict[str, torch.Tensor]:
    """The largest effect of rounding probabilities, then score gradients and their products."""
    inputs = inputs.map(torch.Tensor.double)
    student = inputs.student
    # A bias of one entry for each score has the score's gradient.
    bias = student.query.new_zeros(student.shape) if student.bias is None else student.bias
    scores = bias.expand(student.shape).clone().requires_grad_()
    probed = Inputs(replace(student, bias=scores), inputs.teachers, inputs.rows)
    loss = compare(case, probed, "reference")
    size = torch.autograd.grad(weighted_sum(loss.total), scores)[0].abs()
    probability = torch.finfo(torch.float32).eps * LARGEST_WEIGHT / case.temperature
    size = 2 * torch.finfo(case.dtype).eps * size + probability
    key = student.key.abs().repeat_interleave(student.group, 1)
    of_keys = (size.mT @ student.query.abs()).unflatten(1, (-1, student.group)).sum(2)
    return {
        "query": SCALE * (size @ key).max(),
        "key": SCALE * of_keys.max(),
        "bias": size.sum_to_size(bias.shape).max(),
        "sinks": size.sum((0, 2, 3)).max(),
    }
