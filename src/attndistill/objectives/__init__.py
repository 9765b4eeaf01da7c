"""What the student is trained for: weighted terms, each a sum over items counted beforehand."""

from .attention_term import AttentionTerm
from .counting import IGNORED_LABEL
from .guards import TermReading, read_terms
from .layerwise_term import LayerwiseTerm
from .logits_term import LogitsTerm
from .objective import Objective
from .relation_term import RelationTerm
from .step import Step, Term
from .task_term import TaskTerm

__all__ = [
    "IGNORED_LABEL",
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
