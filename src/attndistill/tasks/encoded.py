"""Splits encoded for the models."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset, IterableDataset

from ..measure import Collator
from .columns import Table
from .labels import LabelMap


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """A split encoded for the models.

    Attributes:
        rows: encoded rows, of which the collator makes batches.
        table: the same rows as read; None for a stream.
        truncated: share of the rows that were cut at ``max_length``; None where it is not known
            (streams) or nothing is cut (images).
        documents: [rows] the row of ``table`` that each comes from; None where it is the same row.
        notes: remarks for the user.
    """

    rows: Dataset | IterableDataset
    table: Table | None
    truncated: float | None = None
    documents: np.ndarray | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Data:
    """All splits of a run, with the processor, the collator and the classes that belong to them.

    Attributes:
        train, validation, test: the splits.
        labels: the classes; None for a task without.
        processor: tokenizer or image processor.
        collator: makes a batch of a list of encoded rows.
    """

    train: Split
    validation: Split
    test: Split
    labels: LabelMap | None
    processor: Any
    collator: Collator

    def splits(self) -> dict[str, Split]:
        """The splits by name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}
