"""MiniLM's self-attention relations: queries among themselves, keys, and values."""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor

from ..capture import AttentionRecord
from ..choices import Option
from ..errors import InputError
from ..matching import resplit
from ..ops import Relation
from .layerwise_term import LayerwiseTerm, RelationPair, check_relation_heads, shared_heads


class RelationVectors(Option):
    """Whose vectors are related to each other."""

    QUERY = "query"
    KEY = "key"
    VALUE = "value"

    @classmethod
    def _argument(cls) -> str:
        return "relations"


@dataclass(frozen=True, kw_only=True)
class RelationTerm(LayerwiseTerm):
    """Divergence of the relations Q–Q, K–K and V–V of self-attention; see `LayerwiseTerm`.

    With Q, K or V of a layer concatenated over its heads and cut into R relation heads of width d,
    a relation's rows are softmax(Q Qᵀ / √d), under the model's own mask (Wang et al. 2021,
    MiniLMv2, https://arxiv.org/abs/2012.15828). Numbers of heads and widths may differ between
    the models. The relations weigh the same.

    Attributes:
        relations: those compared, out of ``query``, ``key`` and ``value``.
        relation_heads: R, which divides both models' features; None for the greatest number that
            divides both models' numbers of key heads.
    """

    relations: tuple[str, ...] = (RelationVectors.QUERY, RelationVectors.KEY, RelationVectors.VALUE)
    relation_heads: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_relation_heads(self.relation_heads)
        names = list(self.relations)
        if not names or len(set(names)) < len(names) or not set(names) <= set(RelationVectors):
            raise InputError(f"relations must be some of {', '.join(RelationVectors)}, not {names}")

    @property
    def needs_values(self) -> bool:
        """Whether the values are compared."""
        return RelationVectors.VALUE in self.relations

    def relation_pairs(
        self, student: AttentionRecord, teacher: AttentionRecord
    ) -> Iterator[RelationPair]:
        """The layer's chosen relations on both sides."""
        ours, theirs = student.relation(), teacher.relation()
        heads = self.relation_heads or shared_heads(ours, theirs)
        for name in self.relations:
            yield (
                _self_relation(getattr(student, name), heads, ours),
                [_self_relation(getattr(teacher, name), heads, theirs)],
            )


def _self_relation(vectors: Tensor, heads: int, attention: Relation) -> Relation:
    if vectors.shape[2] != attention.shape.queries or vectors.shape[2] != attention.shape.keys:
        raise InputError(
            f"RelationTerm relates a layer's tokens to each other, but its queries "
            f"({attention.shape.queries}) and keys ({attention.shape.keys}) are different tokens; "
            "use an attention term instead"
        )
    return resplit(vectors, vectors, heads, like=attention)
