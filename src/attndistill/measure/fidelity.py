"""How closely the student's attention follows the teacher's, per mapped layer and head."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedModel

from ..errors import InputError
from ..matching import GroupMatch
from ..objectives.counting import query_rows
from ..ops import LossSum
from .inference import Collator, batches
from .record_pairs import HeadPairing, paired_records


@dataclass(frozen=True, kw_only=True)
class LayerFidelity:
    """Mean KL(teacher ‖ student) of one mapped layer's attention rows, in nats: 0 is a copy.

    Rows are the queries that are not padding.

    Attributes:
        group: of the student's layers, such as "decoder cross-attention".
        student_layer: 0-based.
        teacher_layer: 0-based.
        pairing: head h against head h; or, where the models have different numbers of heads, the
            mean attention of all heads (one value).
        heads: one mean KL per compared head.
        uniform: for scale, per head the KL from the teacher's attention to attention spread evenly
            over the visible keys, as an untrained model would spread it.
        rows: query rows per head.
    """

    group: str
    student_layer: int
    teacher_layer: int
    pairing: HeadPairing
    heads: tuple[float, ...]
    uniform: tuple[float, ...]
    rows: int

    @property
    def mean(self) -> float:
        """Mean over the heads, nats."""
        return sum(self.heads) / len(self.heads)

    @property
    def mean_uniform(self) -> float:
        """Mean over the heads of the even spread's KL, nats."""
        return sum(self.uniform) / len(self.uniform)


def attention_fidelity(
    teacher: PreTrainedModel,
    student: PreTrainedModel,
    matches: Sequence[GroupMatch],
    dataset: Any,
    collator: Collator,
    *,
    max_rows: int = 256,
    batch_size: int = 32,
) -> list[LayerFidelity]:
    """Compare the attention of mapped layers on held-out rows.

    Args:
        teacher: its flags and attention implementation are left as they are.
        student: likewise, on the teacher's device.
        matches: the groups of layers compared, and their pairs.
        dataset: encoded rows that both models take.
        collator: makes a batch of a list of rows.
        max_rows: the first this many rows are used.
        batch_size: rows per forward.

    Returns:
        One entry per pair, in the order of the matches and their maps.

    Raises:
        InputError: the data set is empty, or an architecture or layer cannot be captured.
    """
    if len(dataset) == 0:
        raise InputError("attention fidelity needs held-out rows, but the data set is empty")
    if not matches:
        return []
    totals: list[tuple[LossSum, LossSum]] = []
    for batch in batches(
        dataset.select(range(min(max_rows, len(dataset)))),
        collator,
        device=student.device,
        batch_size=batch_size,
    ):
        pairs = paired_records(teacher, student, matches, batch)
        counted = [query_rows(batch, pair.match.queries) for pair in pairs]
        parts = [
            (pair.divergence(rows), pair.uniform_divergence(rows))
            for pair, rows in zip(pairs, counted, strict=True)
        ]
        totals = _add(totals, parts) if totals else parts
    return [
        LayerFidelity(
            group=str(pair.match.student),
            student_layer=pair.student.layer,
            teacher_layer=pair.teacher.layer,
            pairing=pair.pairing,
            heads=tuple(gap.mean().tolist()),
            uniform=tuple(even.mean().tolist()),
            rows=int(gap.count[0]),
        )
        for pair, (gap, even) in zip(pairs, totals, strict=True)
    ]


def _add(
    totals: list[tuple[LossSum, LossSum]], parts: list[tuple[LossSum, LossSum]]
) -> list[tuple[LossSum, LossSum]]:
    return [(a + c, b + d) for (a, b), (c, d) in zip(totals, parts, strict=True)]
