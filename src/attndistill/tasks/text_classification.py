"""Text classification: one class, a set of labels or a number for a text or a pair of texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset
from transformers import AutoModelForSequenceClassification, PreTrainedConfig, PreTrainedModel

from ..errors import InputError
from ..measure import predict
from ..metrics import Assessment, assess_unlabelled
from ..objectives import Term
from .columns import Table, check_roles
from .encoded import Data, Split
from .labels import LabelMap, label_names, match_labels
from .problem_types import TRAITS, ProblemTraits, ProblemType
from .task import Scorer
from .text import TextTask


@dataclass(frozen=True, kw_only=True)
class TextColumns:
    """The data's columns by their role; ``label`` is null for texts without labels."""

    text: str = "text"
    text_pair: str | None = None
    label: str | None = "label"

    def __post_init__(self) -> None:
        check_roles(self.text, self.text_pair, self.label)


@dataclass(frozen=True, kw_only=True)
class TextClassification(TextTask):
    """Text classification with ``AutoModelForSequenceClassification``.

    ``metric`` takes logits [N, C] (numbers [N] for regression) and labels, one row per text.

    Attributes:
        max_length: tokens at which a text is cut off, or of a window.
        stride: None, or the tokens that neighbouring windows of a longer text share: it is learnt
            window by window, and its logits are the mean over its windows.
        problem_type: what the model says of a text.
    """

    name: ClassVar[str] = "classification"
    has_own_head: ClassVar[bool] = True
    targets: ClassVar[tuple[str, ...]] = ("label",)

    columns: TextColumns = TextColumns()
    stride: int | None = None
    problem_type: ProblemType = ProblemType.ONE_CLASS

    def __post_init__(self) -> None:
        super().__post_init__()
        ProblemType(self.problem_type)
        if self.stride is not None and self.columns.text_pair is not None:
            raise InputError("stride cuts one long text into windows; leave text_pair out")
        if self.stride is not None and not 0 <= self.stride < self.max_length - 2:
            raise InputError(
                f"stride must be from 0 to below max_length - 2 ({self.max_length - 2}), not "
                f"{self.stride}: it is what neighbouring windows share"
            )

    @property
    def _traits(self) -> ProblemTraits:
        return TRAITS[self.problem_type]

    @property
    def _selection(self) -> Mapping[str, bool]:
        return self._traits.selection if self.labelled else {}

    @property
    def labelled(self) -> bool:
        """Whether there is a label column."""
        return self.columns.label is not None

    @property
    def logits_term(self) -> type[Term]:
        """The term that the problem type asks for."""
        return self._traits.logits_term

    def model_class(self, config: PreTrainedConfig) -> Any:
        """A model with a classification head."""
        return AutoModelForSequenceClassification

    def read(self, datasets: Mapping[str, Dataset]) -> dict[str, Table]:
        """Texts and labels, as numbers where all labels are numbers."""
        tables = super().read(datasets)
        return self._traits.read(tables) if self.labelled else tables

    def _check(self, columns: Mapping[str, Sequence[Any]], source: str) -> None:
        super()._check({role: v for role, v in columns.items() if role != "label"}, source)
        if self.columns.label is not None:
            self._traits.check(columns["label"], self.columns.label, source)

    def labels(self, train: Table, config: PreTrainedConfig, *, trained: bool) -> LabelMap | None:
        """The classes; those of the teacher where the texts have no labels."""
        if self.problem_type == ProblemType.NUMBER:
            return None
        if self.labelled:
            return match_labels(train, config, trained=trained)
        return LabelMap(names=tuple(label_names(config)), numbers={})

    def configure(self, config: PreTrainedConfig, labels: LabelMap | None, path: str) -> None:
        """Set classes and problem type; a config made for another type is refused."""
        if config.problem_type not in (None, self.problem_type):
            raise InputError(
                f"{path} is made for {config.problem_type}, but data.problem_type is "
                f"{self.problem_type}"
            )
        problem_type: Any = str(self.problem_type)
        config.problem_type = problem_type
        if labels is None:
            config.num_labels = 1
        super().configure(config, labels, path)

    def fit_processor(self, processor: Any, path: str) -> None:
        """Only fast tokenizers cut windows."""
        super().fit_processor(processor, path)
        if self.stride is not None and not processor.is_fast:
            raise InputError(
                f"data.stride needs a fast tokenizer, but that of {path} is a slow one"
            )

    def encode(
        self, table: Table, labels: LabelMap | None, processor: Any, *, training: bool
    ) -> Split:
        """Token ids, cut at ``max_length`` or in windows, and ``labels``."""
        if self.stride is None:
            split = super().encode(table, labels, processor, training=training)
        else:
            encoded, documents = self._windows(table.column("text"), processor)
            rows, of_windows = Dataset.from_dict(encoded), np.array(documents)
            split = Split(rows=rows, table=table, truncated=0.0, documents=of_windows)
        if not self.labelled:
            return split
        of_texts = self._traits.encode(table, labels)
        documents = range(len(table)) if split.documents is None else split.documents.tolist()
        column = [of_texts[document] for document in documents]
        return replace(split, rows=split.rows.add_column("labels", column))

    def _encode_texts(self, columns: Mapping[str, Any], tokenizer: Any) -> dict[str, list[Any]]:
        if self.stride is None:
            return super()._encode_texts(columns, tokenizer)
        return self._windows(columns["text"], tokenizer)[0]

    def _windows(
        self, texts: Sequence[str], tokenizer: Any
    ) -> tuple[dict[str, list[Any]], Sequence[int]]:
        """Windows of texts, and the text that each comes from."""
        encoded = dict(
            tokenizer(
                texts,
                truncation=True,
                max_length=self.max_length,
                stride=self.stride,
                return_overflowing_tokens=True,
            )
        )
        documents = encoded.pop("overflow_to_sample_mapping")
        return encoded, documents

    def _assess(
        self, model: PreTrainedModel, data: Data, teacher: Assessment | None, description: str
    ) -> Assessment:
        """The scores of whole texts; without labels, the agreement with the teacher."""
        split = data.test
        logits = predict(model, split.rows, data.collator, description=description)
        if not self.labelled:
            return assess_unlabelled(mean_by_document(logits, split.documents), teacher)
        return self._score(logits, np.array(split.rows["labels"]), split.documents)

    def _scorer(self, data: Data, split: Split) -> Scorer | None:
        return partial(self._score, documents=split.documents) if self.labelled else None

    def _score(
        self, logits: np.ndarray, labels: np.ndarray, documents: np.ndarray | None
    ) -> Assessment:
        logits = mean_by_document(logits, documents)
        if documents is not None:
            labels = labels[np.unique(documents, return_index=True)[1]]
        if self.problem_type == ProblemType.NUMBER:
            logits = logits.reshape(-1)
        return (self.metric or self._traits.assess)(logits, labels)

    def strata(self, table: Table) -> list[Any] | None:
        """The classes."""
        one_class = self.labelled and self.problem_type == ProblemType.ONE_CLASS
        return table.column("label") if one_class else None


def mean_by_document(logits: np.ndarray, documents: np.ndarray | None) -> np.ndarray:
    """The mean over each document's windows: [windows, C] to [documents, C]."""
    if documents is None:
        return logits
    windows = np.bincount(documents)
    sums = np.zeros((len(windows), *logits.shape[1:]))
    np.add.at(sums, documents, logits)
    return (sums / windows[:, None]).astype(logits.dtype)
