"""Encoders without a head: do both models find the same texts similar?"""

import numpy as np

from ..errors import InputError
from .classification import correlation_score
from .scores import Assessment, Unit, mean_score


def assess_similarities(embeddings: np.ndarray, teacher: Assessment | None) -> Assessment:
    """The correlation of each text's similarities to the others with the teacher's.

    The models may differ in width, so for every text its cosines to all others are compared,
    not the embeddings themselves (representational similarity, Kriegeskorte et al. 2008).

    Args:
        embeddings: float32 [N, D], one per text.
        teacher: the teacher's assessment of the same texts; None for the teacher itself.

    Raises:
        InputError: there are fewer than four texts.
    """
    count = len(embeddings)
    if count < 4:
        raise InputError(f"similarities are compared between at least 4 test texts, not {count}")
    unit = embeddings.astype(np.float64)
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True).clip(1e-12)
    others = ~np.eye(count, dtype=bool)
    cosines = (unit @ unit.T)[others].reshape(count, count - 1)
    reference = cosines if teacher is None else teacher.truth
    correlations = [
        float(score.statistic(score.rows.sum(0)))
        for score in map(correlation_score, cosines, reference)
    ]
    return Assessment(
        scores={
            "correlation of text similarities with the teacher's": mean_score(
                np.nan_to_num(np.array(correlations)), unit=Unit.NUMBER
            )
        },
        truth=reference,
    )
