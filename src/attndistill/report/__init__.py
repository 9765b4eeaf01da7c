"""The report of a run: one `RunReport`, as JSON, in the terminal and as a page.

It reads measurements and measures nothing.
"""

from .comparison import Arm, ArmRun, Comparison, compare_arms
from .files import write_report
from .schema import (
    DataSection,
    ModelSection,
    OtherVersionError,
    RunReport,
    SplitSection,
    TrainingSection,
)
from .terminal import print_report

__all__ = [
    "Arm",
    "ArmRun",
    "Comparison",
    "DataSection",
    "ModelSection",
    "OtherVersionError",
    "RunReport",
    "SplitSection",
    "TrainingSection",
    "compare_arms",
    "print_report",
    "write_report",
]
