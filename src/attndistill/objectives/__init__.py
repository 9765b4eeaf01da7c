"""What the student is trained for: weighted terms, each a sum over items counted beforehand."""

from .attention_term import AttentionTerm
from .counting import IGNORED_LABEL
from .guards import TermReading, read_terms
from .layerwise_term import LayerwiseTerm
from .logits_term import LogitsTerm
from .objective import Objective
from .plan import ObjectivePlan
from .relation_term import RelationTerm
from .step import FittedTerm, Step, Term, TermSettings
from .task_term import TaskTerm
from .tokens import TokenTerm

__all__ = [
    "IGNORED_LABEL",
    "AttentionTerm",
    "FittedTerm",
    "LayerwiseTerm",
    "LogitsTerm",
    "Objective",
    "ObjectivePlan",
    "RelationTerm",
    "Step",
    "TaskTerm",
    "Term",
    "TermReading",
    "TermSettings",
    "TokenTerm",
    "read_terms",
]
