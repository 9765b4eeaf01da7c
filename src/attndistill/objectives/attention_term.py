"""Attention distillation: the student's attention rows follow the teacher's."""

from collections.abc import Iterator
from dataclasses import dataclass

from ..capture import AttentionRecord
from ..choices import Option
from ..errors import InputError
from ..matching import averaged_heads, resplit
from .layerwise_term import LayerwiseTerm, RelationPair, check_relation_heads, shared_heads


class HeadMatching(Option):
    """Which teacher head teaches which student head."""

    IDENTITY = "identity"
    AVERAGE = "average"
    RELATION = "relation"

    @classmethod
    def _argument(cls) -> str:
        return "heads"


@dataclass(frozen=True, kw_only=True)
class AttentionTerm(LayerwiseTerm):
    """Divergence of the student's attention from the teacher's; see `LayerwiseTerm`.

    Attributes:
        heads: ``identity``: head h teaches head h; both sides need the same number. ``average``: a
            student head learns from the mean of its share of the teacher's heads, see
            `averaged_heads`. ``relation``: each side's heads are concatenated and split anew, see
            `resplit`.
        relation_heads: R of ``heads: relation``, which divides both models' features; None for
            the greatest number that divides both models' numbers of key heads.
        cross: the stack's cross-attention in place of its self-attention.
    """

    heads: str = HeadMatching.IDENTITY
    relation_heads: int | None = None
    cross: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        HeadMatching(self.heads)
        check_relation_heads(self.relation_heads)
        if self.relation_heads is not None and self.heads != HeadMatching.RELATION:
            raise InputError(f"relation_heads belongs to heads: relation, not to {self.heads}")

    def relation_pairs(
        self, student: AttentionRecord, teacher: AttentionRecord
    ) -> Iterator[RelationPair]:
        """The layer's attention on both sides."""
        ours, theirs = student.relation(), teacher.relation()
        if self.heads == HeadMatching.AVERAGE:
            yield ours, averaged_heads(theirs, ours.shape.heads)
            return
        if self.heads == HeadMatching.RELATION:
            heads = self.relation_heads or shared_heads(ours, theirs)
            yield (
                resplit(ours.query, ours.key, heads, like=ours),
                [resplit(theirs.query, theirs.key, heads, like=theirs)],
            )
            return
        if ours.shape.heads != theirs.shape.heads:
            raise InputError(
                f"heads differ: student layer {student.layer} has {ours.shape.heads}, teacher "
                f"layer {teacher.layer} has {theirs.shape.heads}; set heads to average "
                f"or relation, or give the student num_attention_heads={theirs.shape.heads}"
            )
        yield ours, [theirs]
