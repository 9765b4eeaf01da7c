"""Token classification: a class for every word, such as the entities of a sentence."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset
from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    EvalPrediction,
    PreTrainedConfig,
    PreTrainedModel,
)

from ..errors import InputError, data_rows
from ..measure import Collator, check_finite_rows, outputs
from ..metrics import Assessment, assess_tags
from ..objectives import IGNORED_LABEL
from .columns import Table, check_lists, check_same_names, class_names, numbered, pick_columns
from .labels import LabelMap, match_labels
from .task import Data, Split, Task
from .text import check_max_length, check_padding, check_roles

BATCH_SIZE = 32


@dataclass(frozen=True, kw_only=True)
class TokenColumns:
    """The data's columns by their role: lists of words and of their labels."""

    tokens: str = "tokens"
    labels: str = "labels"

    def __post_init__(self) -> None:
        check_roles(self.tokens, self.labels)


@dataclass(frozen=True, kw_only=True)
class TokenClassification(Task):
    """Token classification with ``AutoModelForTokenClassification``.

    A word's label is that of its first token; its other tokens are not counted.
    ``metric`` takes the predicted classes per row, the true ones, and the class names.

    Attributes:
        columns: which column is what.
        max_length: tokens at which a text is cut off.
    """

    name: ClassVar[str] = "token-classification"
    has_own_head: ClassVar[bool] = True

    columns: TokenColumns = TokenColumns()
    max_length: int = 128

    def __post_init__(self) -> None:
        check_max_length(self.max_length)

    @property
    def _selection(self) -> Mapping[str, bool]:
        return {"f1": True, "token_accuracy": True}

    @property
    def longest(self) -> int:
        """Tokens of a text."""
        return self.max_length

    def model_class(self, config: PreTrainedConfig) -> Any:
        """A model with a head for every token."""
        return AutoModelForTokenClassification

    def read(self, datasets: Mapping[str, Dataset]) -> dict[str, Table]:
        """Words and labels, numbers where all labels are; as many labels as words."""
        roles = {"tokens": self.columns.tokens, "labels": self.columns.labels}
        words, tags, names = {}, {}, {}
        for split, dataset in datasets.items():
            rows = pick_columns(dataset, roles, f"data.{split}")
            words[split], tags[split] = list(rows["tokens"]), list(rows["labels"])
            names[split] = class_names(rows, "labels")
            self._check(words[split], tags[split], f"data.{split}")
        tags = numbered(tags)
        tables = {
            split: Table(
                rows=Dataset.from_dict({"tokens": words[split], "label": tags[split]}),
                source=f"data.{split}",
                label_names=names[split],
            )
            for split in datasets
        }
        check_same_names(tables)
        return tables

    def labels(self, train: Table, config: PreTrainedConfig, *, trained: bool) -> LabelMap:
        """The classes of the words."""
        return match_labels(train, config, trained=trained)

    def fit_processor(self, processor: Any, path: str) -> None:
        """Which word a token is of, only fast tokenizers say."""
        check_padding(processor, path)
        if not processor.is_fast:
            raise InputError(
                f"token classification needs a fast tokenizer, but that of {path} is a slow one"
            )

    def encode(
        self, table: Table, labels: LabelMap | None, processor: Any, *, training: bool
    ) -> Split:
        """Token ids, cut at ``max_length``, with a label at the first token of each word."""
        assert labels is not None, "token classification has classes"
        words, tags = table.column("tokens"), labels.encode(table)
        encoded = processor(
            words, is_split_into_words=True, truncation=True, max_length=self.max_length
        )
        placed, cut = [], 0
        for row, of_words in enumerate(tags):
            word_of_token = encoded.word_ids(row)
            placed.append(_first_tokens(word_of_token, of_words))
            cut += len({word for word in word_of_token if word is not None}) < len(of_words)
        columns = {**dict(encoded), "labels": placed}
        return Split(rows=Dataset.from_dict(columns), table=table, truncated=cut / len(table))

    def _collator(self, processor: Any, model: PreTrainedModel) -> Collator:
        return DataCollatorForTokenClassification(processor)

    def compute_metrics(self, data: Data) -> Callable[[EvalPrediction], dict[str, float]]:
        """The scores of all labelled words; ``f1`` is the one that decides."""

        def compute(prediction: EvalPrediction) -> dict[str, float]:
            classes, labels = prediction.predictions, np.asarray(prediction.label_ids)
            values = self.logged(self._assess(list(classes), list(labels), data))
            return {"f1": next(iter(values.values())), **values}

        return compute

    def preprocess_logits(self) -> Callable[[Any, Any], Any]:
        """The predicted classes: logits of rows of different lengths are many."""
        return lambda logits, labels: logits.argmax(-1)

    def assess(
        self,
        model: PreTrainedModel,
        data: Data,
        *,
        teacher: Assessment | None = None,
        description: str = "",
    ) -> Assessment:
        """The scores of all labelled words."""
        classes, labels, finite = [], [], []
        for output, batch in outputs(
            model, data.test.rows, data.collator, batch_size=BATCH_SIZE, description=description
        ):
            finite.append(output.logits.isfinite().flatten(1).all(1).cpu().numpy())
            classes += list(output.logits.argmax(-1).cpu().numpy())
            labels += list(batch["labels"].cpu().numpy())
        check_finite_rows(model, np.concatenate(finite))
        return self._assess(classes, labels, data)

    def keys(self, table: Table) -> list[Hashable]:
        """The words."""
        return [tuple(words) for words in table.column("tokens")]

    def _assess(
        self, classes: list[np.ndarray], labels: list[np.ndarray], data: Data
    ) -> Assessment:
        assert data.labels is not None, "token classification has classes"
        counted = [row != IGNORED_LABEL for row in labels]
        predicted = [row[mask] for row, mask in zip(classes, counted, strict=True)]
        truth = [row[mask] for row, mask in zip(labels, counted, strict=True)]
        return (self.metric or assess_tags)(predicted, truth, data.labels.names)

    def _check(self, words: list[Any], tags: list[Any], source: str) -> None:
        check_lists(words, self.columns.tokens, source, "a list of words")
        check_lists(tags, self.columns.labels, source, "a list of labels")
        for row, (of_words, labels) in enumerate(zip(words, tags, strict=True)):
            if not of_words:
                raise InputError(f"{source}: {data_rows([row])} has no words; remove it")
            if len(of_words) != len(labels):
                raise InputError(
                    f"{source}: {data_rows([row])} has {len(of_words)} words but {len(labels)} "
                    "labels; each word needs one"
                )


def _first_tokens(word_of_token: list[int | None], labels: list[int]) -> list[int]:
    """The label of each word at its first token, IGNORED_LABEL elsewhere."""
    previous = [None, *word_of_token]
    return [
        IGNORED_LABEL if word is None or word == before else labels[word]
        for word, before in zip(word_of_token, previous, strict=False)
    ]
