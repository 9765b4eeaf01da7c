"""What the student is trained for: weighted terms, each a sum over items counted beforehand."""

from .attention import AttentionTerm
from .guards import TermReading, read_terms
from .logits import LogitsTerm
from .objective import Objective, Step, Term
from .task import TaskTerm

__all__ = [
    "AttentionTerm",
    "LogitsTerm",
    "Objective",
    "Step",
    "TaskTerm",
    "Term",
    "TermReading",
    "read_terms",
]
