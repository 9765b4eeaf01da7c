"""Metrics: numbers in, numbers out, with 95 % intervals; no models, no report.

Each task's ``assess_…`` makes an `Assessment` of what a model answered; `quality_of` sums it up.
"""

from .classification import assess_classes, assess_label_sets, assess_unlabelled, assess_values
from .embeddings import assess_similarities
from .intervals import Interval
from .language import assess_language
from .quality import Quality, paired_difference, quality_of
from .scores import Assessment, Baseline, Metric, Score, mean_score, ratio_score, values_of
from .summaries import assess_summaries
from .tagging import assess_tags

__all__ = [
    "Assessment",
    "Baseline",
    "Interval",
    "Metric",
    "Quality",
    "Score",
    "assess_classes",
    "assess_label_sets",
    "assess_language",
    "assess_similarities",
    "assess_summaries",
    "assess_tags",
    "assess_unlabelled",
    "assess_values",
    "mean_score",
    "paired_difference",
    "quality_of",
    "ratio_score",
    "values_of",
]
