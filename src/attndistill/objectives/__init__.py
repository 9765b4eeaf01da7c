"""What the student is trained for: weighted terms, each a sum over items counted beforehand."""

from .attention import AttentionTerm
from .guards import TermReading, read_terms
from .layerwise import LayerwiseTerm
from .logits import LogitsTerm
from .objective import Objective
from .relation import RelationTerm
from .step import Step, Term
from .task import TaskTerm

__all__ = [
    "AttentionTerm",
    "LayerwiseTerm",
    "LogitsTerm",
    "Objective",
    "RelationTerm",
    "Step",
    "TaskTerm",
    "Term",
    "TermReading",
    "read_terms",
]
