"""The public operations: one function each, named for the mathematics."""

from collections.abc import Sequence

from torch import Tensor

from .divergences import Divergence
from .loss_sum import LossSum
from .options import Impl, Masks, Per
from .problem import Problem, prepare
from .relation import Relation


def attention_divergence(
    student: Relation,
    teacher: Relation | Sequence[Relation],
    *,
    rows: Tensor | None = None,
    kind: str = Divergence.KL,
    temperature: float = 1.0,
    masks: str = Masks.EQUAL,
    per: str = Per.ALL,
    impl: str = Impl.AUTO,
) -> LossSum:
    """Divergence between corresponding attention rows of a student and a teacher.

    With z = S/T the scores over the temperature and P = softmax(z) over the visible keys (S: see
    `Relation`), a row's value, and its gradient w - P_s * sum(w) with respect to z_s, are

    ==============  =======================================  ================================
    kind            value                                    w
    ==============  =======================================  ================================
    ``kl``          sum P_t (log P_t - log P_s)              -P_t, so P_s - P_t (Hinton 2015,
                                                             MiniLM 2020)
    ``reverse_kl``  sum P_s (log P_s - log P_t)              P_s (log P_s - log P_t)
    ``js``          (KL(P_t, M) + KL(P_s, M))/2, M their     P_s (log P_s - log M) / 2
                    mean
    ``mse``         sum (P_s - P_t)^2                        2 P_s (P_s - P_t)
    ``cosine``      1 - <P_s, P_t> / (|P_s| |P_t|)           P_s (cos P_s/|P_s| - P_t/|P_t|)/|P_s|
    ==============  =======================================  ================================

    KL, reverse KL and JS are in nats; nothing is multiplied by T². For one unmasked row the KL
    equals ``F.kl_div(z_s.log_softmax(-1), z_t.log_softmax(-1), log_target=True,
    reduction="sum")``.

    Args:
        student: receives gradients (query, key, bias, sinks).
        teacher: receives none; of several, the probabilities are averaged. B, Hq, Q and K are the
            student's; head width, key heads and dtype may differ.
        rows: bool or floating weights ``[B, Q]``: which queries count. This is the padding of the
            queries; that of the keys is in the masks.
        kind: ``"kl"``, ``"reverse_kl"``, ``"js"``, ``"mse"`` or ``"cosine"``.
        temperature: T, divides the scores of both sides.
        masks: ``"equal"`` refuses sides that see different keys; ``"intersect"`` compares over the
            keys visible to both.
        per: ``"all"``, ``"head"`` or ``"row"``: the shape ``[]``, ``[H]`` or ``[B, H, Q]`` of total
            and count.
        impl: ``"auto"``, ``"reference"`` (dense, by autograd) or ``"blockwise"`` (holds nothing of
            size Q×K; gradients are formed in the forward).

    Returns:
        The summed row values, and the number of rows that count and see at least one key.

    Raises:
        ValueError: sides, masks or options that do not fit together.
    """
    problem = prepare(
        student,
        teacher,
        rows=rows,
        divergence=Divergence(kind),
        temperature=temperature,
        masks=Masks(masks),
    )
    return _compute(problem, Per(per), Impl(impl))


def score_mse(
    student: Relation,
    teacher: Relation | Sequence[Relation],
    *,
    rows: Tensor | None = None,
    masks: str = Masks.EQUAL,
    per: str = Per.ALL,
    impl: str = Impl.AUTO,
) -> LossSum:
    """Squared difference of raw attention scores, TinyBERT's attention loss (Jiao et al. 2020).

    A row's value is the sum over its visible keys of (S_s - S_t)², before softmax and temperature;
    its gradient with respect to S_s is 2 (S_s - S_t). For one unmasked row it equals
    ``F.mse_loss(S_s, S_t, reduction="sum")``. Of several teachers the scores are averaged.

    Where all queries see the same keys and scores are plain dot products, ``"auto"`` and
    ``"blockwise"`` take time linear in the length (see `attndistill.ops.gram`); causal, windowed,
    segmented and biased scores are compared tile by tile in quadratic time and linear memory.

    Args:
        student: as in `attention_divergence`, as are all other arguments.
        teacher: see there.
        rows: see there.
        masks: see there.
        per: see there.
        impl: see there.

    Returns:
        The summed squares, and the number of visible (query, key) pairs of the rows that count.

    Raises:
        ValueError: sides, masks or options that do not fit together.
    """
    problem = prepare(
        student, teacher, rows=rows, divergence=None, temperature=1.0, masks=Masks(masks)
    )
    return _compute(problem, Per(per), Impl(impl))


def _compute(problem: Problem, per: Per, impl: Impl) -> LossSum:
    match impl:
        case Impl.REFERENCE:
            from .reference import reference

            return reference(problem, per)
        case Impl.AUTO | Impl.BLOCKWISE:
            from .blockwise import blockwise
            from .gram import gram, is_linear

            if problem.divergence is None and is_linear(problem):
                return gram(problem, per)
            return blockwise(problem, per)
