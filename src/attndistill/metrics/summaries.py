"""Summaries against their references: ROUGE (Lin 2004)."""

from collections.abc import Sequence

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from ..errors import InputError
from .scores import Assessment, Figure, mean_score

# The deciding one first; keys are rouge-score's names.
KINDS = {"rougeL": "ROUGE-L", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2"}


def assess_summaries(summaries: Sequence[str], references: Sequence[str]) -> Assessment:
    """The mean F1 of the words, word pairs and longest common subsequences; ROUGE-L decides.

    Words are stemmed (Porter), as is usual.

    Args:
        summaries: what the model wrote, one per row.
        references: what a person wrote.
    """
    if not references:
        raise InputError("quality needs at least one test row, but there are none")
    scorer = RougeScorer(list(KINDS), use_stemmer=True)
    found = [
        scorer.score(reference, summary)
        for reference, summary in zip(references, summaries, strict=True)
    ]
    words, wanted = (np.mean([len(text.split()) for text in t]) for t in (summaries, references))
    return Assessment(
        scores={
            name: mean_score(np.array([row[key].fmeasure for row in found]))
            for key, name in KINDS.items()
        },
        figures={f"words per summary (references: {wanted:.1f})": Figure(value=float(words))},
        truth=np.array(references),
    )
