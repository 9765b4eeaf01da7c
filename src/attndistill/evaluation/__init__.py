"""Evaluation: what a student keeps and what it gains, in one `RunReport`.

Measure (`predict`, `assess_…` and `quality_of`, `measure_costs`, `attention_fidelity`,
`sample_attention`, `compare_arms`), put the results into a `RunReport`, then write or print it.
"""

from .attempts import attempt
from .classification import assess_classes, assess_label_sets, assess_unlabelled, assess_values
from .comparison import Arm, ArmRun, Comparison, compare_arms
from .cost import Cost, measure_costs
from .environment import Environment, detect_environment
from .fidelity import LayerFidelity, attention_fidelity
from .generation import generate
from .intervals import Interval
from .language import assess_language
from .predict import Collator, check_finite, outputs, predict
from .quality import Metric, Quality, paired_difference, quality_of
from .report import (
    DataSection,
    ModelSection,
    OtherVersionError,
    RunReport,
    SplitSection,
    TrainingSection,
)
from .rouge import assess_summaries
from .sample import SampleAttention, sample_attention
from .scores import Assessment, Baseline, Figure, Score, mean_score, ratio_score, values_of
from .similarity import assess_similarities
from .table import print_report
from .tagging import assess_tags
from .writing import write_report

__all__ = [
    "Arm",
    "ArmRun",
    "Assessment",
    "Baseline",
    "Collator",
    "Comparison",
    "Cost",
    "DataSection",
    "Environment",
    "Figure",
    "Interval",
    "LayerFidelity",
    "Metric",
    "ModelSection",
    "OtherVersionError",
    "Quality",
    "RunReport",
    "SampleAttention",
    "Score",
    "SplitSection",
    "TrainingSection",
    "assess_classes",
    "assess_label_sets",
    "assess_language",
    "assess_similarities",
    "assess_summaries",
    "assess_tags",
    "assess_unlabelled",
    "assess_values",
    "attempt",
    "attention_fidelity",
    "check_finite",
    "compare_arms",
    "detect_environment",
    "generate",
    "mean_score",
    "measure_costs",
    "outputs",
    "paired_difference",
    "predict",
    "print_report",
    "quality_of",
    "ratio_score",
    "sample_attention",
    "values_of",
    "write_report",
]
