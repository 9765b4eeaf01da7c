"""Measuring models: their outputs, their costs and how their attention compares."""

from .attempts import attempt
from .costs import Cost, measure_costs
from .environment import Environment, detect_environment
from .fidelity import LayerFidelity, attention_fidelity
from .generation import generate
from .inference import Collator, check_finite_rows, outputs, predict
from .sample import SampleAttention, sample_attention

__all__ = [
    "Collator",
    "Cost",
    "Environment",
    "LayerFidelity",
    "SampleAttention",
    "attempt",
    "attention_fidelity",
    "check_finite_rows",
    "detect_environment",
    "generate",
    "measure_costs",
    "outputs",
    "predict",
    "sample_attention",
]
