"""What a task is: everything that differs between one kind of model and another."""

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
from .encoded import Data, Split
from .labels import LabelMap

# Answers and labels, one row each.
Scorer = Callable[[np.ndarray, np.ndarray], Assessment]


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """One kind of model and the data it learns from; its fields are keys of a recipe's ``data``.

    Attributes:
        metric: replaces the task's own metric: takes the same arguments (see each task) and
            returns an `Assessment`, whose first score decides.
        collate: replaces the task's own collator.
    """

    name: ClassVar[str]
    # For recipes without an objective, as far as the data has labels and the models have logits.
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
        """The logged metrics that can select the best checkpoint, and whether higher is better.

        The first one is the default; without any, it is the task term's loss, else the objective.
        A task that logs metrics logs the deciding score of the user's own as ``metric``.
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
        """Whether the task can learn from a stream of text without labels."""
        return False

    @property
    def logits_term(self) -> type[Term] | None:
        """The term that compares the models' logits; None for models without logits."""
        return LogitsTerm

    @property
    def longest(self) -> int | None:
        """The most tokens of one text; None for images."""
        return None

    @abstractmethod
    def model_class(self, config: PreTrainedConfig) -> Any:
        """The ``AutoModelFor…`` class that loads a model with this config."""

    @property
    def positions(self) -> int | None:
        """The most positions that a row takes up in a model; None for images."""
        return self.longest

    def fitted(self, config: PreTrainedConfig) -> "Task":
        """The task for a teacher with this config."""
        return self

    def may_lack(self, weight: str) -> bool:
        """Whether a checkpoint without this weight is complete for the task."""
        return False

    @abstractmethod
    def read(self, datasets: Mapping[str, Dataset]) -> dict[str, Table]:
        """Check the splits' columns and rename them to their roles.

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
            InputError: the labels do not fit the teacher's classes.
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
            training: whether they are trained on, rather than measured.

        Raises:
            InputError: a row cannot be encoded; the message has its number.
        """

    def stream(self, rows: IterableDataset, processor: Any) -> Split:
        """Encode a stream of rows as it is read; only for a task that ``streams``."""
        raise NotImplementedError(f"{self.name} needs to see all its rows first")

    def contents(self, split: Split) -> Iterator[bytes]:
        """The content of a split's rows in order, for a fingerprint."""
        for row in split.rows:
            yield json.dumps(row, sort_keys=True).encode()

    def collator(self, processor: Any, model: PreTrainedModel) -> Collator:
        """Makes a batch of a list of encoded rows; ``model`` is the teacher."""
        return self.collate or self._collator(processor, model)

    @abstractmethod
    def _collator(self, processor: Any, model: PreTrainedModel) -> Collator: ...

    def compute_metrics(self, data: Data) -> Callable[[EvalPrediction], dict[str, float]] | None:
        """Trainer's metrics on the validation split; None where only losses are logged."""
        score = self._scorer(data, data.validation)
        if score is None:
            return None

        def compute(prediction: EvalPrediction) -> dict[str, float]:
            answers = prediction.predictions
            answers = answers[0] if isinstance(answers, tuple) else answers
            return self._logged(score(answers, np.asarray(prediction.label_ids)))

        return compute

    def _scorer(self, data: Data, split: Split) -> Scorer | None:
        """What scores the answers on a split by its labels; None where only losses are logged."""
        return None

    def _logged(self, assessed: Assessment) -> dict[str, float]:
        """An assessment as Trainer logs it."""
        values = values_of(assessed)
        return values if self.metric is None else {"metric": next(iter(values.values())), **values}

    def preprocess_logits(self) -> Callable[[Any, Any], Any] | None:
        """What Trainer keeps of each batch's logits for its metrics; None for all."""
        return None

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
            teacher: the teacher's assessment on the same rows; None for the teacher itself.
            description: of the progress bar.
        """
        return self._assess(model, data, teacher, description)

    @abstractmethod
    def _assess(
        self, model: PreTrainedModel, data: Data, teacher: Assessment | None, description: str
    ) -> Assessment: ...

    def strata(self, table: Table) -> list[Any] | None:
        """One class per row, to cut a split in proportion; None without classes."""
        return None

    def keys(self, table: Table) -> list[Hashable]:
        """What identifies each row, to find rows that are in two splits."""
        return []
