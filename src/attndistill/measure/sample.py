"""The attention of both models on one real sentence, for pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..matching import GroupMatch, Queries
from .record_pairs import HeadPairing, RecordPair, paired_records

MAX_TOKENS = 48
DECIMALS = 4
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True, kw_only=True)
class HeadSample:
    """One head's attention on the sentence.

    Attributes:
        head: 0-based, or None for the mean over heads of models that differ in their number.
        kl: mean KL(teacher ‖ student) over the rows, nats.
        teacher: probabilities [query][key], four decimals.
        student: likewise.
    """

    head: int | None
    kl: float
    teacher: Matrix
    student: Matrix


@dataclass(frozen=True, kw_only=True)
class LayerSample:
    """A mapped layer's sampled heads, from the closest copy to the furthest.

    Attributes:
        group: of the student's layers, such as "decoder cross-attention".
        student_layer, teacher_layer: 0-based.
        queries: the tokens that attend.
        keys: the tokens attended to.
        heads: a few of them.
    """

    group: str
    student_layer: int
    teacher_layer: int
    queries: tuple[str, ...]
    keys: tuple[str, ...]
    heads: tuple[HeadSample, ...]


@dataclass(frozen=True, kw_only=True)
class SampleAttention:
    """Attention on one sentence.

    Attributes:
        tokens: of the input, as the tokenizer writes them, special tokens included.
        truncated: whether the sentence had more than fit.
        layers: one per pair of the layer map.
    """

    tokens: tuple[str, ...]
    truncated: bool
    layers: tuple[LayerSample, ...]


def sample_attention(
    teacher: PreTrainedModel,
    student: PreTrainedModel,
    matches: Sequence[GroupMatch],
    batch: Mapping[str, Tensor],
    tokenizer: Any,
    *,
    max_heads: int = 4,
) -> SampleAttention:
    """Run both models on a sentence and keep a few heads of each mapped layer.

    The heads are not a best-of: sorted by their KL on this sentence, they are taken evenly from
    the closest to the furthest.

    Args:
        teacher: model on the student's device.
        student: model.
        matches: the groups of layers sampled, and their pairs.
        batch: of the one sentence; cut to MAX_TOKENS.
        tokenizer: of both models.
        max_heads: heads kept per layer.
    """
    length = batch["input_ids"].shape[1]
    batch = {
        name: tensor[:, :MAX_TOKENS].to(student.device)
        for name, tensor in batch.items()
        if tensor.dim() == 2  # the label of a whole text has no token positions
    }
    tokens = {
        queries: _tokens(batch, name, tokenizer)
        for queries, name in ((Queries.INPUT, "input_ids"), (Queries.TARGET, "decoder_input_ids"))
    }
    return SampleAttention(
        tokens=tokens[Queries.INPUT],
        truncated=length > MAX_TOKENS,
        layers=tuple(
            _layer_sample(pair, tokens, max_heads)
            for pair in paired_records(teacher, student, matches, batch)
        ),
    )


def _tokens(batch: Mapping[str, Tensor], name: str, tokenizer: Any) -> tuple[str, ...]:
    ids = batch[name][0].tolist() if name in batch else []
    return tuple(tokenizer.convert_ids_to_tokens(ids))


def _layer_sample(
    pair: RecordPair, tokens: Mapping[Queries, tuple[str, ...]], max_heads: int
) -> LayerSample:
    gaps = pair.divergence(None).mean()
    by_gap = gaps.argsort(stable=True).tolist()
    kept = min(max_heads, len(by_gap))
    chosen = [by_gap[round(i * (len(by_gap) - 1) / max(1, kept - 1))] for i in range(kept)]
    student, teacher = pair.probs()
    match = pair.match
    return LayerSample(
        group=str(match.student),
        queries=tokens[match.queries],
        keys=tokens[Queries.INPUT if match.student.kind == "cross" else match.queries],
        student_layer=pair.student.layer,
        teacher_layer=pair.teacher.layer,
        heads=tuple(
            HeadSample(
                head=head if pair.pairing is HeadPairing.IDENTITY else None,
                kl=float(gaps[head]),
                teacher=_matrix(teacher[0, head]),
                student=_matrix(student[0, head]),
            )
            for head in chosen
        ),
    )


def _matrix(probs: Tensor) -> Matrix:
    rounded = torch.round(probs.double(), decimals=DECIMALS).tolist()
    return tuple(tuple(round(value, DECIMALS) for value in row) for row in rounded)
