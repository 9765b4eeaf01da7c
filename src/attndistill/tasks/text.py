"""What tasks on text share: columns, tokens up to a length, padding and streams."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from datasets import Dataset, IterableDataset
from transformers import DataCollatorWithPadding, PreTrainedModel, PreTrainedTokenizerBase

from ..errors import InputError
from ..measure import Collator
from .columns import Table, check_texts, pick_columns
from .encoded import Split
from .labels import LabelMap
from .task import Task

# A shuffled stream does not tell a row's place in it.
STREAM = "data.train (a stream, its rows counted in the batch that is read)"


@dataclass(frozen=True, kw_only=True)
class RawColumns:
    """The column of raw text."""

    text: str = "text"


@dataclass(frozen=True, kw_only=True)
class TextTask(Task):
    """A task on text: unless it says otherwise, on texts, or pairs of texts, cut to a length.

    Attributes:
        columns: which column is what.
        max_length: tokens at which a text is cut off.
    """

    # Roles of the columns that are to be learnt, and are not given to the models.
    targets: ClassVar[tuple[str, ...]] = ()

    columns: Any
    max_length: int = 128

    def __post_init__(self) -> None:
        check_max_length(self.max_length)

    @property
    def streams(self) -> bool:
        """Whether its texts have no labels."""
        return not self.labelled

    @property
    def longest(self) -> int:
        """The most tokens of one text."""
        return self.max_length

    @property
    def _roles(self) -> dict[str, str]:
        """The name of the column for each role that has one."""
        named = {field.name: getattr(self.columns, field.name) for field in fields(self.columns)}
        return {role: name for role, name in named.items() if name is not None}

    def read(self, datasets: Mapping[str, Dataset]) -> dict[str, Table]:
        """Read the columns that have a role."""
        tables = {}
        for split, dataset in datasets.items():
            source = f"data.{split}"
            rows = pick_columns(dataset, self._roles, source)
            self._check(rows[:], source)
            tables[split] = Table(rows=rows, source=source)
        return tables

    def _check(self, columns: Mapping[str, Sequence[Any]], source: str) -> None:
        """Refuse rows with wrong values; ``columns`` by role."""
        for role, values in columns.items():
            check_texts(values, self._roles[role], source)

    def fit_processor(self, processor: Any, path: str) -> None:
        """Texts are padded to batches."""
        check_padding(processor, path)

    def encode(
        self, table: Table, labels: LabelMap | None, processor: Any, *, training: bool
    ) -> Split:
        """Token ids, cut at ``max_length``."""
        encoded = self._encode_texts(table.rows[:], processor)
        share = truncated_share(table, encoded["input_ids"], processor, self.max_length)
        return Split(rows=Dataset.from_dict(encoded), table=table, truncated=share)

    def _encode_texts(self, columns: Mapping[str, Any], tokenizer: Any) -> dict[str, list[Any]]:
        """The columns of encoded rows to train on; ``columns`` by role."""
        texts, pairs = columns["text"], columns.get("text_pair")
        return dict(tokenizer(texts, pairs, truncation=True, max_length=self.max_length))

    def stream(self, rows: IterableDataset, processor: Any) -> Split:
        """Check and encode batches of rows as they are read."""
        if not self.streams:
            return super().stream(rows, processor)

        def encode(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
            self._check(batch, STREAM)
            return self._encode_texts(batch, processor)

        return Split(rows=stream_map(rows, self._roles, encode), table=None)

    def _collator(self, processor: Any, model: PreTrainedModel) -> Collator:
        return DataCollatorWithPadding(processor)

    def keys(self, table: Table) -> list[Hashable]:
        """The texts of each row."""
        given = [role for role in table.rows.column_names if role not in self.targets]
        return list(zip(*(map(str, table.column(role)) for role in given), strict=True))


def check_padding(tokenizer: PreTrainedTokenizerBase, path: str) -> None:
    """Refuse a tokenizer that cannot pad; without a padding token, the end token pads.

    Padding is masked, so any token will do.

    Raises:
        InputError: it has neither token.
    """
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if tokenizer.pad_token is None:
        raise InputError(
            f"{path}: the tokenizer of {tokenizer.name_or_path!r} has no padding token, so texts "
            "cannot be batched; set pad_token (often to eos_token) and save it with "
            "save_pretrained"
        )


def check_max_length(max_length: int, name: str = "max_length") -> None:
    """Refuse lengths at which nothing of a text is left."""
    if max_length < 2:
        raise InputError(f"{name} must be at least 2 tokens, not {max_length}")


def truncated_share(
    table: Table, token_ids: Sequence[Sequence[int]], tokenizer: Any, max_length: int
) -> float:
    """The share of texts with more than ``max_length`` tokens; ``token_ids`` are cut there."""
    full = [row for row, ids in enumerate(token_ids) if len(ids) == max_length]
    if not full:
        return 0.0
    cut = table.select(full, table.source)
    pairs = cut.column("text_pair") if "text_pair" in cut.rows.column_names else None
    uncut = tokenizer(cut.column("text"), pairs, truncation=False, verbose=False)
    return sum(len(ids) > max_length for ids in uncut["input_ids"]) / len(table)


def stream_map(
    rows: IterableDataset, roles: Mapping[str, str], encode: Callable[[dict], dict]
) -> IterableDataset:
    """Encode a stream batch by batch, its columns renamed to their roles.

    Raises:
        InputError: the stream is empty, or its first row lacks a column.
    """
    first = next(iter(rows), None)
    # Checked like any other data set, as one with a single row.
    pick_columns(Dataset.from_list([] if first is None else [first]), roles, "data.train")

    def renamed(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return encode({role: batch[column] for role, column in roles.items()})

    return rows.map(renamed, batched=True, remove_columns=list(first or ()))
