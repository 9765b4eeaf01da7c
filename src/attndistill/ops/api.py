"""The operations: what is computed. `impl` says how."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .dispatch import dispatch
from .divergences import Divergence
from .loss_sum import LossSum
from .options import Impl, Masks, Per
from .problem import make_problem
from .relation import Relation


@torch.compiler.disable
def attention_divergence(
    student: Relation,
    teacher: Relation | Sequence[Relation],
    *,
    rows: Tensor | None = None,
    kind: Divergence | str = Divergence.KL,
    temperature: float = 1.0,
    masks: Masks | str = Masks.EQUAL,
    per: Per | str = Per.ALL,
    impl: Impl | str = Impl.AUTO,
) -> LossSum:
    r"""Divergence between the attention rows of a teacher and a student.

    With S the attention scores of a side (see `Relation`) and P = softmax(S / T) over the visible
    keys, subscripts s and t for student and teacher, a row (one batch entry, head and query) has

        kl          sum_k P_t (log P_t - log P_s)
        reverse_kl  sum_k P_s (log P_s - log P_t)
        js          (KL(P_t || M) + KL(P_s || M)) / 2,  M = (P_s + P_t) / 2
        mse         sum_k (P_s - P_t)^2
        cosine      1 - cos(P_s, P_t)

    kl, reverse_kl and js are in nats. In PyTorch, with ``log_s = (S_s / T).log_softmax(-1)`` where
    masked scores are -1e30, ``p_s = log_s.exp()``, the same for t, ``log_m`` the logarithm of
    (p_s + p_t) / 2, and ``F = torch.nn.functional``, row values are

        kl          F.kl_div(log_s, log_t, reduction="none", log_target=True).sum(-1)
        reverse_kl  F.kl_div(log_t, log_s, reduction="none", log_target=True).sum(-1)
        js          (p_t * (log_t - log_m) + p_s * (log_s - log_m)).sum(-1) / 2
        mse         F.mse_loss(p_s, p_t, reduction="none").sum(-1)
        cosine      1 - F.cosine_similarity(p_s, p_t, dim=-1)

    The gradient of a row is dS_s = (w - p_s * sum_k w) / T (for kl: (p_s - p_t) / T), where, with
    ``n`` the norm of p_s, ``m`` that of p_t and ``cos`` the cosine of their angle, w is

        kl          -p_t
        reverse_kl  p_s * (log_s - log_t)
        js          p_s * (log_s - log_m) / 2
        mse         2 * p_s * (p_s - p_t)
        cosine      p_s * (cos * p_s / n - p_t / m) / n

    It reaches the student only (query, key, bias, sinks). No factor T^2 is applied: a caller who
    wants the gradient's size kept while T varies (Hinton et al. 2015) multiplies by it. Masked
    keys have probability 0 on both sides and no gradient.

    Args:
        student: the side that learns; query ``[B, Hq, Q, D]``, key ``[B, Hk, K, D]``.
        teacher: a relation with the same B, Hq, Q, K (D, Hk and dtype may differ), or several
            whose probabilities are averaged: P_t is their mean.
        rows: which queries count, bool ``[B, Q]``, or their floating weights; None for all. This
            is where padding of the *queries* goes: an attention mask hides keys only.
        kind: the divergence.
        temperature: T, divides the scores of both sides, sinks included.
        masks: "equal" refuses sides that see different keys (see `merge_masks`); "intersect" takes
            both softmaxes over the keys visible to all sides.
        per: "all" sums to one total, "head" to ``[Hq]``, "row" keeps ``[B, Hq, Q]``.
        impl: "auto", "reference" (dense), "blockwise" (linear memory, any device) or "triton"
            (CUDA); "auto" takes Triton where it can. An explicit choice never falls back: it
            raises with the reason.

    Returns:
        The sum over rows and the number of rows. A row counts if ``rows`` selects it and it sees a
        key; one that sees none adds nothing to either. Only the reference can be differentiated
        twice; the other backends refuse.

    Raises:
        ValueError: if the sides do not fit together, their masks differ, only one has sinks, an
            option is unknown, or the backend named cannot do this.

    Example:
        The mean divergence equals the dense computation:

        >>> query, key = torch.randn(2, 1, 3, 4, 8).unbind()
        >>> loss = attention_divergence(Relation(query, key, 1.0), Relation(key, query, 1.0))
        >>> log_s, log_t = (query @ key.mT).log_softmax(-1), (key @ query.mT).log_softmax(-1)
        >>> dense = torch.nn.functional.kl_div(log_s, log_t, log_target=True, reduction="none")
        >>> torch.testing.assert_close(loss.mean(), dense.sum(-1).mean())

    Sources: kl of attention rows from MiniLM (Wang et al. 2020, https://arxiv.org/abs/2002.10957),
    the temperature from Hinton et al. (2015, https://arxiv.org/abs/1503.02531); reverse_kl, of
    token distributions, from MiniLLM (Gu et al. 2024, https://arxiv.org/abs/2306.08543); js from
    Lin (1991, https://doi.org/10.1109/18.61115); mse is the score of Brier (1950); cosine is half
    the squared distance of unit-length attention maps (Zagoruyko and Komodakis 2017,
    https://arxiv.org/abs/1612.03928). ``docs/engine.md`` derives all of them.
    """
    problem = make_problem(
        student,
        teacher,
        rows=rows,
        divergence=Divergence(kind),
        temperature=temperature,
        masks=Masks(masks),
    )
    return dispatch(problem, Per(per), Impl(impl))


@torch.compiler.disable
def score_mse(
    student: Relation,
    teacher: Relation | Sequence[Relation],
    *,
    rows: Tensor | None = None,
    masks: Masks | str = Masks.EQUAL,
    per: Per | str = Per.ALL,
    impl: Impl | str = Impl.AUTO,
) -> LossSum:
    r"""Squared difference of the attention scores of a teacher and a student (TinyBERT's loss).

    A row (one batch entry, head and query) has sum_k (S_s - S_t)^2 over the visible keys, with S
    the attention scores before the softmax, softcap and bias included (see `Relation`). Sinks are
    the score of no key and take no part. The gradient is dS_s = 2 (S_s - S_t) at visible keys; it
    reaches the student only (query, key, bias). In PyTorch, with ``visible`` of the scores' shape
    and ``F = torch.nn.functional``, the mean is

        F.mse_loss(scores_s[visible], scores_t[visible])

    Without softcap and bias, and with no mask beyond key padding, causality and (on a CPU)
    contiguous segments, the time is linear in the length: |Q K^T|^2 = sum (Q^T Q) * (K^T K).

    Args:
        student: the side that learns; query ``[B, Hq, Q, D]``, key ``[B, Hk, K, D]``.
        teacher: a relation with the same B, Hq, Q, K (D, Hk and dtype may differ), or several
            whose *scores* are averaged.
        rows: which queries count, bool ``[B, Q]``, or their floating weights; None for all.
        masks: "equal" refuses sides that see different keys; "intersect" compares the keys visible
            to all sides.
        per: "all" sums to one total, "head" to ``[Hq]``, "row" keeps ``[B, Hq, Q]``.
        impl: "auto", "reference" or "blockwise", as for `attention_divergence`.

    Returns:
        The sum over visible pairs of a query and a key, and their number (weighted by the rows'
        weights), so that ``mean()`` is the mean squared error.

    Raises:
        ValueError: as for `attention_divergence`.

    Example:
        The mean equals the dense computation:

        >>> query, key = torch.randn(2, 1, 3, 4, 8).unbind()
        >>> loss = score_mse(Relation(query, key, 0.5), Relation(key, query, 0.5))
        >>> scores_s, scores_t = 0.5 * query @ key.mT, 0.5 * key @ query.mT
        >>> dense = torch.nn.functional.mse_loss(scores_s, scores_t)
        >>> torch.testing.assert_close(loss.mean(), dense)

    Source: TinyBERT (Jiao et al. 2020, https://arxiv.org/abs/1909.10351). The linear time is
    derived in ``docs/engine.md``.
    """
    problem = make_problem(
        student, teacher, rows=rows, divergence=None, temperature=1.0, masks=Masks(masks)
    )
    return dispatch(problem, Per(per), Impl(impl))
