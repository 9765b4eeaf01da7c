"""One report of a run: quality, fidelity and costs; tables, plots and HTML read only that."""

from .comparison import ArmRun, compare_arms
from .cost import Cost, measure_costs
from .environment import Environment, detect_environment
from .fidelity import LayerFidelity, attention_fidelity
from .intervals import Interval
from .predict import Predictions, predict
from .quality import ClassificationQuality, classification_quality, paired_difference
from .report import DataSection, ModelSection, RunReport, SplitSection, TrainingSection
from .sample import SampleAttention, sample_attention
from .table import print_report

__all__ = [
    "ArmRun",
    "ClassificationQuality",
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
]
