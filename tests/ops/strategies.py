"""A comparison written as plain values: drawn by hypothesis, or spelled out by a test."""

from dataclasses import dataclass

import torch
from hypothesis import strategies as st

KINDS = ["kl", "reverse_kl", "js", "mse", "cosine", "score_mse"]
# The first six are compact; the others are index functions and dense masks.
MASK_PARTS = ["right", "left", "causal", "window", "segments", "scattered"]
MASK_PARTS += ["function", "dense", "empty"]
DTYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float64]


@dataclass(frozen=True, kw_only=True)
class Case:
    """Sizes, features and numerical regime of one comparison (built by `inputs.make_inputs`).

    `mask` names parts that are and-ed; with `teacher_mask`, another one, sides are intersected.
    `bias` says whether a bias has its own batch entries and heads. `gap` makes the teacher a copy
    of the student moved by that much, turned into wider features if its width is larger. `sharp`
    and `sharp_teacher` multiply the scores.
    """

    kind: str = "kl"
    batch: int = 2
    heads: int = 4
    group: int = 2
    teacher_group: int = 1
    queries: int = 7
    keys: int = 11
    width: int = 6
    teacher_width: int = 7
    mask: frozenset[str] = frozenset()
    teacher_mask: frozenset[str] | None = None
    rows: str | None = None
    per: str = "all"
    temperature: float = 1.0
    bias: tuple[bool, bool] | None = None
    softcap: float | None = None
    sinks: bool = False
    teachers: int = 1
    gap: float | None = None
    sharp: float = 1.0
    sharp_teacher: float = 1.0
    strided: bool = False
    dtype: torch.dtype = torch.float64
    teacher_dtype: torch.dtype = torch.float64
    seed: int = 0


def sometimes(*values):
    """None about half of the time: a feature's share of the cases, and of its absence."""
    return st.none() | st.sampled_from(values)


any_masks = st.frozensets(st.sampled_from(MASK_PARTS), max_size=3)
plain_masks = st.frozensets(st.sampled_from(MASK_PARTS[:6]), max_size=3)


@st.composite
def cases(draw, kind: str, *, dtypes=(torch.float64,), plain: bool = False) -> Case:
    """Any case of a kind; a plain one has neither bias, softcap, sinks nor arbitrary masks."""
    heads = draw(st.sampled_from([1, 2, 3, 4, 6]))
    groups = st.sampled_from([group for group in (1, 2, 3, 4, 6) if heads % group == 0])
    masks = plain_masks if plain else any_masks
    extras = {
        "bias": draw(sometimes((False, False), (False, True), (True, False), (True, True))),
        "softcap": draw(sometimes(1.5, 30.0)),
        "sinks": draw(st.booleans()),
    }
    dtype = draw(st.sampled_from(dtypes))
    return Case(
        kind=kind,
        batch=draw(st.integers(1, 3)),
        heads=heads,
        group=draw(groups),
        teacher_group=draw(groups),
        queries=draw(st.integers(1, 9)),
        keys=draw(st.integers(1, 13)),
        width=draw(st.integers(1, 9)),
        teacher_width=draw(st.integers(1, 12)),
        mask=draw(masks),
        teacher_mask=draw(st.none() | masks),
        rows=draw(sometimes("bool", "float")),
        per=draw(st.sampled_from(["all", "head", "row"])),
        temperature=draw(st.sampled_from([1.0, 0.5, 3.7])),
        **({} if plain else extras),
        teachers=draw(st.sampled_from([1, 1, 2, 3])),
        gap=draw(sometimes(1e-1, 1e-2, 1e-3, 1e-4)),
        sharp=draw(st.sampled_from([1.0, 1.0, 60.0])),
        sharp_teacher=draw(st.sampled_from([1.0, 60.0])),
        strided=draw(st.booleans()),
        dtype=dtype,
        teacher_dtype=draw(st.just(dtype) | st.sampled_from(dtypes)),
        seed=draw(st.integers(0, 999)),
    )
