"""Text classification: one class, a set of labels or a number for a text or a pair of texts."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset, IterableDataset
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    EvalPrediction,
    PreTrainedConfig,
    PreTrainedModel,
)

from ..choices import Option
from ..errors import InputError, data_rows
from ..measure import Collator, predict
from ..metrics import (
    Assessment,
    assess_classes,
    assess_label_sets,
    assess_unlabelled,
    assess_values,
)
from ..objectives import LogitsTerm, Term
from ..objectives.label_set_and_value_terms import LabelSetTerm, ValueTerm
from .columns import (
    Table,
    check_classes,
    check_given,
    check_lists,
    check_same_names,
    check_texts,
    class_names,
    numbered,
    pick_columns,
)
from .labels import LabelMap, label_names, match_labels
from .task import Data, Split, Task
from .text import (
    STREAM,
    check_max_length,
    check_padding,
    check_roles,
    mean_by_document,
    stream_map,
    text_keys,
    truncated_share,
)


class ProblemType(Option):
    """What a classifier says of a text, by Transformers' own names."""

    ONE_CLASS = "single_label_classification"
    LABEL_SET = "multi_label_classification"
    NUMBER = "regression"


@dataclass(frozen=True, kw_only=True)
class TextColumns:
    """The data's columns by their role; ``label`` is null for texts without labels."""

    text: str = "text"
    text_pair: str | None = None
    label: str | None = "label"

    def __post_init__(self) -> None:
        check_roles(self.text, self.text_pair, self.label)


@dataclass(frozen=True, kw_only=True)
class TextClassification(Task):
    """Text classification with ``AutoModelForSequenceClassification``.

    ``metric`` takes logits [N, C] (numbers [N] for regression) and labels, one row per text.

    Attributes:
        columns: which column is what.
        max_length: tokens at which a text is cut off, or of a window.
        stride: None, or the tokens that neighbouring windows of a longer text share: it is learnt
            window by window, and its logits are the mean over its windows.
        problem_type: what the model says of a text.
    """

    name: ClassVar[str] = "classification"
    has_own_head: ClassVar[bool] = True

    columns: TextColumns = TextColumns()
    max_length: int = 128
    stride: int | None = None
    problem_type: ProblemType = ProblemType.ONE_CLASS

    def __post_init__(self) -> None:
        ProblemType(self.problem_type)
        check_max_length(self.max_length)
        if self.stride is not None and self.columns.text_pair is not None:
            raise InputError("stride cuts one long text into windows; leave text_pair out")
        if self.stride is not None and not 0 <= self.stride < self.max_length - 2:
            raise InputError(
                f"stride must be from 0 to below max_length - 2 ({self.max_length - 2}), not "
                f"{self.stride}: it is what neighbouring windows share"
            )

    @property
    def _selection(self) -> Mapping[str, bool]:
        if not self.labelled:
            return {}
        match self.problem_type:
            case ProblemType.ONE_CLASS:
                return {"accuracy": True, "macro_f1": True}
            case ProblemType.LABEL_SET:
                return {"micro_f1": True, "macro_f1": True}
            case _:
                return {"rmse": False, "pearson_correlation": True}

    @property
    def labelled(self) -> bool:
        """Whether there is a label column."""
        return self.columns.label is not None

    @property
    def streams(self) -> bool:
        """Where the texts have no labels."""
        return not self.labelled

    @property
    def logits_term(self) -> type[Term]:
        """Of one distribution over classes, of one for each label, or of a number."""
        match self.problem_type:
            case ProblemType.ONE_CLASS:
                return LogitsTerm
            case ProblemType.LABEL_SET:
                return LabelSetTerm
            case _:
                return ValueTerm

    @property
    def longest(self) -> int:
        """Tokens of a text or window."""
        return self.max_length

    def model_class(self, config: PreTrainedConfig) -> Any:
        """A model with a classification head."""
        return AutoModelForSequenceClassification

    def read(self, datasets: Mapping[str, Dataset]) -> dict[str, Table]:
        """Texts and labels, numbers where all labels are."""
        columns = self.columns
        roles = {"text": columns.text, "text_pair": columns.text_pair, "label": columns.label}
        tables = {}
        for split, dataset in datasets.items():
            source = f"data.{split}"
            rows = pick_columns(dataset, roles, source)
            for role in ("text", "text_pair"):
                if role in rows.column_names:
                    check_texts(list(rows[role]), roles[role] or "", source)
            names = class_names(rows, "label") if self.labelled else None
            tables[split] = Table(rows=rows, source=source, label_names=names)
        return self._with_labels(tables) if self.labelled else tables

    def labels(self, train: Table, config: PreTrainedConfig, *, trained: bool) -> LabelMap | None:
        """The classes; those of the teacher where the texts have no labels."""
        if self.problem_type == ProblemType.NUMBER:
            return None
        if self.labelled:
            return match_labels(train, config, trained=trained)
        return LabelMap(names=tuple(label_names(config)), numbers={})

    def configure(self, config: PreTrainedConfig, labels: LabelMap | None, path: str) -> None:
        """Classes and problem type; a config that says another one is refused."""
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
        """Windows come from fast tokenizers only."""
        check_padding(processor, path)
        if self.stride is not None and not processor.is_fast:
            raise InputError(
                f"data.stride needs a fast tokenizer, but that of {path} is a slow one"
            )

    def encode(
        self, table: Table, labels: LabelMap | None, processor: Any, *, training: bool
    ) -> Split:
        """Token ids, cut at ``max_length`` or in windows, and ``labels``."""
        pairs = table.column("text_pair") if self.columns.text_pair else None
        encoded = self._token_ids(table.column("text"), pairs, processor)
        documents = encoded.pop("overflow_to_sample_mapping", None)
        if self.labelled:
            of_rows = self._encoded_labels(table, labels)
            encoded["labels"] = of_rows if documents is None else [of_rows[d] for d in documents]
        truncated = 0.0
        if documents is None:
            truncated = truncated_share(table, encoded["input_ids"], processor, self.max_length)
        return Split(
            rows=Dataset.from_dict(encoded),
            table=table,
            truncated=truncated,
            documents=None if documents is None else np.array(documents),
        )

    def stream(self, rows: IterableDataset, processor: Any) -> Split:
        """Token ids of texts without labels, encoded on the way."""
        columns = {"text": self.columns.text, "text_pair": self.columns.text_pair}
        roles = {role: name for role, name in columns.items() if name is not None}

        def encode(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
            for role, texts in batch.items():
                check_texts(texts, roles[role], STREAM)
            encoded = self._token_ids(batch["text"], batch.get("text_pair"), processor)
            encoded.pop("overflow_to_sample_mapping", None)
            return encoded

        return Split(rows=stream_map(rows, roles, encode), table=None)

    def _collator(self, processor: Any, model: PreTrainedModel) -> Collator:
        return DataCollatorWithPadding(processor)

    def compute_metrics(self, data: Data) -> Callable[[EvalPrediction], dict[str, float]] | None:
        """The scores of whole texts; None without labels."""
        if not self.labelled:
            return None

        def compute(prediction: EvalPrediction) -> dict[str, float]:
            logits = prediction.predictions
            logits = logits[0] if isinstance(logits, tuple) else logits
            labels = np.asarray(prediction.label_ids)
            return self.logged(self._assess(logits, labels, data.validation))

        return compute

    def assess(
        self,
        model: PreTrainedModel,
        data: Data,
        *,
        teacher: Assessment | None = None,
        description: str = "",
    ) -> Assessment:
        """The scores of whole texts; without labels the agreement with the teacher."""
        split = data.test
        logits = predict(model, split.rows, data.collator, description=description)
        if not self.labelled:
            return assess_unlabelled(mean_by_document(logits, split.documents), teacher)
        return self._assess(logits, np.array(split.rows["labels"]), split)

    def strata(self, table: Table) -> list[Any] | None:
        """The classes."""
        one_class = self.labelled and self.problem_type == ProblemType.ONE_CLASS
        return table.column("label") if one_class else None

    def keys(self, table: Table) -> list[Hashable]:
        """The texts."""
        return text_keys(table, "text", "text_pair")

    def _assess(self, logits: np.ndarray, labels: np.ndarray, split: Split) -> Assessment:
        logits = mean_by_document(logits, split.documents)
        if split.documents is not None:
            labels = labels[np.unique(split.documents, return_index=True)[1]]
        if self.problem_type == ProblemType.NUMBER:
            logits = logits.reshape(-1)
        if self.metric is not None:
            return self.metric(logits, labels)
        match self.problem_type:
            case ProblemType.ONE_CLASS:
                return assess_classes(logits, labels)
            case ProblemType.LABEL_SET:
                return assess_label_sets(logits, labels)
            case _:
                return assess_values(logits, labels)

    def _token_ids(
        self, texts: list[str], pairs: list[str] | None, tokenizer: Any
    ) -> dict[str, list[Any]]:
        windows = {"stride": self.stride, "return_overflowing_tokens": True}
        return dict(
            tokenizer(
                texts,
                pairs,
                truncation=True,
                max_length=self.max_length,
                **(windows if self.stride is not None else {}),
            )
        )

    def _with_labels(self, tables: Mapping[str, Table]) -> dict[str, Table]:
        """The labels checked, and as numbers where they are."""
        check_same_names(tables)
        column = self.columns.label or ""
        values = {split: table.column("label") for split, table in tables.items()}
        for split, table in tables.items():
            match self.problem_type:
                case ProblemType.ONE_CLASS:
                    check_classes(values[split], column, table.source)
                case ProblemType.LABEL_SET:
                    check_lists(values[split], column, table.source, "a list of labels")
                case _:
                    values[split] = _numbers(values[split], column, table.source)
        if self.problem_type != ProblemType.NUMBER:
            values = numbered(values)
        return {split: _relabelled(table, values[split]) for split, table in tables.items()}

    def _encoded_labels(self, table: Table, labels: LabelMap | None) -> list[Any]:
        if labels is None:
            return table.column("label")
        encoded = labels.encode(table)
        if self.problem_type == ProblemType.ONE_CLASS:
            return encoded
        return [[float(number in row) for number in range(len(labels.names))] for row in encoded]


def _relabelled(table: Table, labels: list[Any]) -> Table:
    columns = {name: table.column(name) for name in table.rows.column_names if name != "label"}
    return Table(
        rows=Dataset.from_dict({**columns, "label": labels}),
        source=table.source,
        label_names=table.label_names,
    )


def _numbers(values: list[Any], column: str, source: str) -> list[float]:
    check_given(values, column, source)
    numbers = []
    for row, value in enumerate(values):
        try:
            number = float(value)
        except (TypeError, ValueError):
            number = float("nan")
        if not np.isfinite(number):
            raise InputError(
                f"{source}: column {column!r} must hold a finite number, but {data_rows([row])} "
                f"holds {value!r}"
            )
        numbers.append(number)
    return numbers
