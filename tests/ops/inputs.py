"""The tensors of a case, and what a backend makes of them."""

from dataclasses import dataclass, replace

import torch
from ops.strategies import Case

from attndistill.ops import AttentionMask, LossSum, Relation, attention_divergence, score_mse

SCALE = 0.4
# Of the totals per head or row in `weighted_sum`.
LARGEST_WEIGHT = 2.5
PARTS = ("query", "key", "bias", "sinks")


@dataclass(frozen=True)
class Inputs:
    """The two sides of a case and the weights of the queries."""

    student: Relation
    teachers: list[Relation]
    rows: torch.Tensor | None

    def map(self, change) -> "Inputs":
        """The same comparison with every floating tensor of both sides changed."""
        return Inputs(
            change_parts(self.student, change),
            [change_parts(teacher, change) for teacher in self.teachers],
            self.rows,
        )


def parts_of(relation: Relation) -> dict[str, torch.Tensor]:
    parts = {name: getattr(relation, name) for name in PARTS}
    return {name: tensor for name, tensor in parts.items() if tensor is not None}


def change_parts(relation: Relation, change) -> Relation:
    return replace(relation, **{n: change(tensor) for n, tensor in parts_of(relation).items()})


def make_mask(parts, batch: int, queries: int, keys: int, device="cpu") -> AttentionMask | None:
    """An attention mask of the named parts; lengths differ between the entries of a batch."""
    if not parts:
        return None
    entry, query, key = (torch.arange(size, device=device) for size in (batch, queries, keys))
    lengths = entry[:, None] * 3 % keys + 1
    fields = {"causal": "causal" in parts, "window": 3 if "window" in parts else None}
    if "right" in parts:
        fields["key_valid"] = key < lengths
    if "left" in parts:
        fields["key_valid"] = key >= keys - lengths
    if "segments" in parts:
        fields["query_segments"] = (query + entry[:, None]) // 3
        fields["key_segments"] = (key + entry[:, None]) // 4
    if "scattered" in parts:
        fields["query_segments"] = (query % 2).expand(batch, -1)
        fields["key_segments"] = (key % 3).expand(batch, -1)
    if "function" in parts:
        fields["visible"] = lambda b, h, q, k: (q + 2 * k + h + b) % 3 > 0
    if "dense" in parts:
        visible = (query[:, None] + 3 * key + 2 * entry[:, None, None]) % 5 > 1
        fields["visible"] = visible[:, None]
    if "empty" in parts:
        fields["visible"] = (query % 2 > 0)[:, None].expand(1, 1, -1, keys)
    return AttentionMask(**fields)


def make_inputs(case: Case, device: str = "cpu") -> Inputs:
    """The case's tensors in its dtypes, drawn from its seed."""
    return _Maker(case, device).make()


class _Maker:
    def __init__(self, case: Case, device: str):
        self.case, self.device = case, device
        self.generator = torch.Generator().manual_seed(case.seed)

    def normal(self, *shape):
        return torch.randn(shape, generator=self.generator, dtype=torch.float64)

    def make(self) -> Inputs:
        case = self.case
        sizes = case.batch, case.queries, case.keys, self.device
        mask = teacher_mask = make_mask(case.mask, *sizes)
        if case.teacher_mask is not None:
            teacher_mask = make_mask(case.teacher_mask, *sizes)
        query, key = self.pair(case.group, case.width, case.sharp)
        extras = self.extras()
        student = self.relation(query, key, extras, mask, case.dtype)
        if case.gap is None:
            pairs = [
                self.pair(case.teacher_group, case.teacher_width, case.sharp_teacher)
                for _ in range(case.teachers)
            ]
            extras = self.extras()
        else:
            pairs = [self.near(query, key) for _ in range(case.teachers)]
        teachers = [
            self.relation(*pair, extras, teacher_mask, case.teacher_dtype) for pair in pairs
        ]
        return Inputs(student, teachers, self.rows())

    def pair(self, group: int, width: int, sharp: float):
        case = self.case
        query = self.normal(case.batch, case.heads, case.queries, width) * sharp
        return query, self.normal(case.batch, case.heads // group, case.keys, width)

    def near(self, query, key):
        """A copy moved by the gap; in wider features it is turned, which no score notices."""
        case = self.case
        query, key = (t + case.gap * t.abs().mean() * self.normal(*t.shape) for t in (query, key))
        if case.teacher_width <= case.width:
            return query, key
        turn = torch.linalg.qr(self.normal(case.teacher_width, case.width))[0].mT
        return query @ turn, key @ turn

    def extras(self):
        case = self.case
        extras = {}
        if case.bias is not None:
            batch, heads = case.batch if case.bias[0] else 1, case.heads if case.bias[1] else 1
            extras["bias"] = self.normal(batch, heads, case.queries, case.keys)
        if case.sinks:
            extras["sinks"] = self.normal(case.heads)
        return extras

    def relation(self, query, key, extras, mask, dtype) -> Relation:
        def finish(tensor):
            if self.case.strided and tensor.dim() == 4:
                tensor = tensor.transpose(1, 3).contiguous().transpose(1, 3)
            return tensor.to(self.device, dtype)

        query, key = finish(query), finish(key)
        extras = {name: finish(tensor) for name, tensor in extras.items()}
        return Relation(query, key, SCALE, mask=mask, softcap=self.case.softcap, **extras)

    def rows(self):
        if self.case.rows is None:
            return None
        weights = torch.rand(self.case.batch, self.case.queries, generator=self.generator)
        weights = weights.to(self.device)
        return weights > 0.3 if self.case.rows == "bool" else weights


def compare(case: Case, inputs: Inputs, impl: str, **changes) -> LossSum:
    """The case's comparison of these inputs."""
    options = {
        "rows": inputs.rows,
        "masks": "equal" if case.teacher_mask is None else "intersect",
        "per": case.per,
        "impl": impl,
    } | changes
    if case.kind == "score_mse":
        return score_mse(inputs.student, inputs.teachers, **options)
    options |= {"kind": case.kind, "temperature": case.temperature}
    return attention_divergence(inputs.student, inputs.teachers, **options)


def outcome(case: Case, inputs: Inputs, impl: str, **changes) -> dict[str, torch.Tensor]:
    """Total, count and the gradients of the student's tensors, by name.

    Totals per head or row are weighted before the backward, so that none hides in a sum.
    """
    inputs = inputs.map(lambda tensor: tensor.detach().requires_grad_())
    loss = compare(case, inputs, impl, **changes)
    leaves = parts_of(inputs.student)
    if case.kind == "score_mse":  # sinks take no part
        leaves.pop("sinks", None)
    gradients = torch.autograd.grad(weighted_sum(loss.total), list(leaves.values()))
    return {
        "total": loss.total.detach(),
        "count": loss.count,
        **dict(zip(leaves, gradients, strict=True)),
    }


def weighted_sum(total: torch.Tensor) -> torch.Tensor:
    weights = torch.arange(total.numel(), device=total.device).view(total.shape) % 5 - 1.5
    return (total * weights.to(total)).sum()
