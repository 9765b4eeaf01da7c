"""Evaluation: what a student keeps and what it gains, in one `RunReport`.

Measure (`predict`, `classification_quality`, `measure_costs`, `attention_fidelity`,
`sample_attention`, `compare_arms`), put the results into a `RunReport`, then write or print it.
"""

from .comparison import Arm, ArmRun, Comparison, compare_arms
from .cost import Cost, measure_costs
from .environment import Environment, detect_environment
from .fidelity import LayerFidelity, attention_fidelity
from .intervals import Interval
from .predict import Predictions, predict
from .quality import ClassificationQuality, classification_quality, paired_difference
from .report import (
    DataSection,
    ModelSection,
    RunReport,
    SplitSection,
    TrainingSection,
)
from .sample import SampleAttention, sample_attention
from .table import print_report
from .writing import write_report

__all__ = [
    "Arm",
    "ArmRun",
    "ClassificationQuality",
    "Comparison",
    "Cost",
    "DataSection",
    "Environment",
    "Interval",
    "LayerFidelity",
    "ModelSection",
    "Predictions",
    "RunReport",
    "SampleAttention",
    "SplitSection",
    "TrainingSection",
    "attention_fidelity",
    "classification_quality",
    "compare_arms",
    "detect_environment",
    "measure_costs",
    "paired_difference",
    "predict",
    "print_report",
    "sample_attention",
    "write_report",
]
