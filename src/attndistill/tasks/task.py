"""What a task is: all that differs between one kind of model and another."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset, IterableDataset
from transformers import (
    AutoTokenizer,
    EvalPrediction,
    PreTrainedConfig,
    PreTrainedModel,
)

from ..measure import Collator
from ..metrics import Assessment, values_of
from ..objectives import LogitsTerm, Term
from ..reading import PYTHON_ONLY
from .columns import Table
from .labels import LabelMap


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """A split encoded for the models.

    Attributes:
        rows: what the collator makes batches of.
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
    """Encoded splits with what encodes, batches and names them.

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
        """By name."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """One kind of model with the data it learns from; its fields are lines of a recipe's ``data``.

    Attributes:
        metric: in place of the task's own measure: takes what it takes (see the task's
            ``_assess``) and returns an `Assessment`, whose first score decides.
        collate: in place of the task's own collator.
    """

    name: ClassVar[str]
    # Those of a recipe that names none, as far as the data has labels and the models have logits.
    default_terms: ClassVar[tuple[str, ...]] = ("task", "logits", "attention")
    processor_class: ClassVar[Any] = AutoTokenizer
    # Whether the head belongs to the data, so that a checkpoint may lack it.
    has_own_head: ClassVar[bool] = False
    # Whether the collator reads columns that no model names, such as pictures.
    raw_columns: ClassVar[bool] = False

    metric: Callable[..., Assessment] | None = field(default=None, metadata={PYTHON_ONLY: True})
    collate: Collator | None = field(default=None, metadata={PYTHON_ONLY: True})

    @property
    def selection(self) -> Mapping[str, bool]:
        """The logged metrics that a best checkpoint may go by: whether higher is better.

        The first one is the default. Without any, it is the task term's loss, else the objective.
        The deciding score of a metric of the user's own is logged as ``metric``, by a task that
        measures while it trains.
        """
        own = self.metric is not None and self._selection
        return {"metric": True} if own else self._selection

    @property
    def _selection(self) -> Mapping[str, bool]:
        return {}

    @property
    def labelled(self) -> bool:
        """Whether the data has labels, without which there is no task term."""
        return True

    @property
    def streams(self) -> bool:
        """Whether it can learn from a stream: from texts without labels."""
        return False

    @property
    def logits_term(self) -> type[Term] | None:
        """What compares the models' logits; None for models without."""
        return LogitsTerm

    @property
    def longest(self) -> int | None:
        """The most tokens of one text; None for images."""
        return None

    @abstractmethod
    def model_class(self, config: PreTrainedConfig) -> Any:
        """The ``AutoModelFor…`` that loads a model with this config."""

    @property
    def positions(self) -> int | None:
        """The most positions that a row takes in a model; None for images."""
        return self.longest

    def fitted(self, config: PreTrainedConfig) -> "Task":
        """The task for a teacher with this config; the same one where it does not matter."""
        return self

    def may_lack(self, weight: str) -> bool:
        """Whether a checkpoint without this weight is whole for the task."""
        return False

    @abstractmethod
    def read(self, datasets: Mapping[str, Dataset]) -> dict[str, Table]:
        """Check the splits' columns and name them by their roles.

        Raises:
            InputError: naming the split, the column and the rows.
        """

    def labels(self, train: Table, config: PreTrainedConfig, *, trained: bool) -> LabelMap | None:
        """The classes, from the training rows and the teacher; None for a task without.

        Args:
            train: the training rows.
            config: the teacher's.
            trained: whether the teacher will be fine-tuned on these rows.

        Raises:
            InputError: labels and teacher do not go together.
        """
        return None

    def configure(self, config: PreTrainedConfig, labels: LabelMap | None, path: str) -> None:
        """Set what the task needs in a config before its weights are loaded.

        Raises:
            InputError: the model is made for another task.
        """
        if labels is not None:
            config.id2label = dict(enumerate(labels.names))
            config.label2id = {label: number for number, label in enumerate(labels.names)}

    @abstractmethod
    def fit_processor(self, processor: Any, path: str) -> None:
        """Check, and complete, a tokenizer or image processor.

        Raises:
            InputError: it lacks what the task needs.
        """

    @abstractmethod
    def encode(
        self, table: Table, labels: LabelMap | None, processor: Any, *, training: bool
    ) -> Split:
        """Encode rows.

        Args:
            table: the rows.
            labels: the classes, if the task has any.
            processor: tokenizer or image processor.
            training: whether they are trained on, and not measured.

        Raises:
            InputError: a row that cannot be, with its number.
        """

    def stream(self, rows: IterableDataset, processor: Any) -> Split:
        """Encode a stream of rows on the way; only of a task that ``streams``."""
        raise NotImplementedError(f"{self.name} needs to see all its rows first")

    def contents(self, split: Split) -> Iterator[bytes]:
        """What a split's rows say, in order: equal where they are."""
        for row in split.rows:
            yield json.dumps(row, sort_keys=True).encode()

    def collator(self, processor: Any, model: PreTrainedModel) -> Collator:
        """What makes a batch of a list of encoded rows; ``model`` is the teacher."""
        return self.collate or self._collator(processor, model)

    @abstractmethod
    def _collator(self, processor: Any, model: PreTrainedModel) -> Collator: ...

    def compute_metrics(self, data: Data) -> Callable[[EvalPrediction], dict[str, float]] | None:
        """Trainer's metrics on the validation split; None where the losses are all it logs."""
        return None

    def logged(self, assessed: Assessment) -> dict[str, float]:
        """An assessment as Trainer logs it."""
        values = values_of(assessed)
        return values if self.metric is None else {"metric": next(iter(values.values())), **values}

    def preprocess_logits(self) -> Callable[[Any, Any], Any] | None:
        """What Trainer keeps of each batch's logits for its metrics; None for all."""
        return None

    @abstractmethod
    def assess(
        self,
        model: PreTrainedModel,
        data: Data,
        *,
        teacher: Assessment | None = None,
        description: str = "",
    ) -> Assessment:
        """Measure a model on the test split.

        Args:
            model: the model.
            data: the data.
            teacher: what the teacher does on the same rows, where it is to be compared with.
            description: of the progress bar.
        """

    def strata(self, table: Table) -> list[Any] | None:
        """One class per row, to cut a split in proportion; None where there is none."""
        return None

    def keys(self, table: Table) -> list[Hashable]:
        """What tells rows apart, to find those in two splits; empty where it is not looked for."""
        return []
