"""A recipe's teacher and data, ready; students and trainers are made from them."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

from datasets import Dataset, IterableDataset
from torch import Tensor
from transformers import PreTrainedModel

from ..capture import attention_layers, skipped_parts
from ..metrics import Assessment
from ..tasks import Data, Task
from .data.splits import Examples


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """Teacher and data, ready for any number of students.

    Attributes:
        task: what the models predict, and how the data is read for it.
        teacher: the model to learn from.
        examples: the splits as read.
        data: the splits encoded.
    """

    task: Task
    teacher: PreTrainedModel
    examples: Examples
    data: Data

    @cached_property
    def teacher_assessed(self) -> Assessment:
        """The teacher's assessment on the test rows."""
        return self.task.assess(self.teacher, self.data, description="Teacher on test")

    def first_batch(self, rows: int) -> dict[str, Tensor]:
        """The first training rows as a batch."""
        return self.data.collator(list(islice(self.data.train.rows, rows)))

    def longest_batch(self) -> dict[str, Tensor]:
        """The first training row and the longest of each split: what fits them, fits the rest."""
        longest = [row for split in self.data.splits().values() for row in _longest(split.rows)]
        return self.data.collator([*islice(self.data.train.rows, 1), *longest])

    def notes(self) -> Iterator[str]:
        """What was decided or noticed on the way, for the user."""
        tables = dict(self.examples.splits())
        yield "Data: " + ", ".join(
            f"a stream of {split} rows"
            if isinstance(table, IterableDataset)
            else f"{len(table)} {split} rows"
            for split, table in tables.items()
        )
        yield from self.remarks()
        if self.data.labels is not None:
            names = enumerate(self.data.labels.names)
            yield "Labels: " + ", ".join(f"{number} {name}" for number, name in names)
        cut = {split: part.truncated for split, part in self.data.splits().items()}
        if any(cut.values()):
            shares = ", ".join(f"{share:.1%} of {split}" for split, share in cut.items() if share)
            yield f"Texts cut off at max_length: {shares}"

    def remarks(self) -> Iterator[str]:
        """What the reader of a report should know about the data."""
        yield from self.examples.notes
        for split in self.data.splits().values():
            yield from split.notes
        captured = [layer.name for layer in attention_layers(self.teacher)]
        yield from skipped_parts(self.teacher, captured)
        for name in ("metric", "collate"):
            if (own := getattr(self.task, name)) is not None:
                yield f"The {name} is the caller's own: {getattr(own, '__name__', own)}."
        if self.data.labels is not None and self.data.labels.note:
            yield self.data.labels.note


def _longest(rows: Dataset | IterableDataset) -> Iterator[dict[str, Any]]:
    """The longest row; none for a stream, whose rows are unknown, or images, all of one size."""
    if isinstance(rows, Dataset) and "input_ids" in rows.column_names:
        lengths = [len(ids) for ids in rows["input_ids"]]
        yield rows[lengths.index(max(lengths))]
