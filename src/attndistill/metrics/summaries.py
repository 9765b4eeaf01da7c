"""Summaries against their references: ROUGE (Lin 2004)."""

from collections.abc import Sequence

import numpy as np
from rouge_score.rouge_scorer import RougeScorer

from .scores import Assessment, Metric, check_any_rows, mean_score

# The deciding one first; keys are rouge-score's names.
KINDS = {"rougeL": "ROUGE-L", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2"}


def assess_summaries(summaries: Sequence[str], references: Sequence[str]) -> Assessment:
    """Mean F1 of words, of word pairs and of longest common subsequences; ROUGE-L decides.

    Words are stemmed (Porter), as usual.

    Args:
        summaries: what the model wrote, one per row.
        references: what a person wrote.
    """
    check_any_rows(len(references))
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
        figures={f"words per summary (references: {wanted:.1f})": Metric(value=float(words))},
        truth=np.array(references),
    )
