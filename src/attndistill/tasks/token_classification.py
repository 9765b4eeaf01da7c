"""Token classification: a class for every word, such as the entities of a sentence."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset
from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    PreTrainedConfig,
    PreTrainedModel,
)

from ..errors import InputError, data_rows
from ..measure import Collator, check_finite_rows, outputs
from ..metrics import Assessment, assess_tags
from ..objectives import IGNORED_LABEL
from .columns import Table, check_lists, check_roles, number_classes
from .encoded import Data, Split
from .labels import LabelMap, match_labels
from .task import Scorer
from .text import TextTask

BATCH_SIZE = 32


@dataclass(frozen=True, kw_only=True)
class TokenColumns:
    """The data's columns by their role: lists of words and of their labels."""

    tokens: str = "tokens"
    labels: str = "labels"

    def __post_init__(self) -> None:
        check_roles(self.tokens, self.labels)


@dataclass(frozen=True, kw_only=True)
class TokenClassification(TextTask):
    """Token classification with ``AutoModelForTokenClassification``.

    A word's label is that of its first token; its other tokens are not counted.
    ``metric`` takes the predicted classes per row, the true ones, and the class names.
    """

    name: ClassVar[str] = "token-classification"
    has_own_head: ClassVar[bool] = True
    targets: ClassVar[tuple[str, ...]] = ("label",)

    columns: TokenColumns = TokenColumns()

    @property
    def _selection(self) -> Mapping[str, bool]:
        return {"f1": True, "token_accuracy": True}

    def model_class(self, config: PreTrainedConfig) -> Any:
        """A model with a head for every token."""
        return AutoModelForTokenClassification

    def read(self, datasets: Mapping[str, Dataset]) -> dict[str, Table]:
        """Words and their labels, as numbers where all labels are numbers."""
        tables = super().read(datasets)
        return number_classes(
            {
                split: replace(table, rows=table.rows.rename_column("labels", "label"))
                for split, table in tables.items()
            }
        )

    def _check(self, columns: Mapping[str, Sequence[Any]], source: str) -> None:
        words, tags = columns["tokens"], columns["labels"]
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

    def labels(self, train: Table, config: PreTrainedConfig, *, trained: bool) -> LabelMap:
        """The classes of the words."""
        return match_labels(train, config, trained=trained)

    def fit_processor(self, processor: Any, path: str) -> None:
        """Only fast tokenizers tell which word a token belongs to."""
        super().fit_processor(processor, path)
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

    def _logged(self, assessed: Assessment) -> dict[str, float]:
        values = super()._logged(assessed)
        # One name for the deciding score, the F1 of entities or of token classes.
        return {"f1": next(iter(values.values())), **values}

    def preprocess_logits(self) -> Callable[[Any, Any], Any]:
        """The predicted classes: all logits of all tokens would be too many to keep."""
        return lambda logits, labels: logits.argmax(-1)

    def _assess(
        self, model: PreTrainedModel, data: Data, teacher: Assessment | None, description: str
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
        return self._score(classes, labels, _names(data))

    def _scorer(self, data: Data, split: Split) -> Scorer:
        return partial(self._score, names=_names(data))

    def _score(
        self, classes: Sequence[np.ndarray], labels: Sequence[np.ndarray], names: Sequence[str]
    ) -> Assessment:
        counted = [row != IGNORED_LABEL for row in labels]
        predicted = [row[mask] for row, mask in zip(classes, counted, strict=True)]
        truth = [row[mask] for row, mask in zip(labels, counted, strict=True)]
        return (self.metric or assess_tags)(predicted, truth, names)


def _names(data: Data) -> tuple[str, ...]:
    assert data.labels is not None, "token classification has classes"
    return data.labels.names


def _first_tokens(word_of_token: list[int | None], labels: list[int]) -> list[int]:
    """The label of each word at its first token, IGNORED_LABEL elsewhere."""
    previous = [None, *word_of_token]
    return [
        IGNORED_LABEL if word is None or word == before else labels[word]
        for word, before in zip(word_of_token, previous, strict=False)
    ]
