"""What tasks on text share: padding, truncation and the identity of texts."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from datasets import Dataset, IterableDataset
from transformers import PreTrainedTokenizerBase

from ..errors import InputError
from .columns import Table, pick_columns

# Of a shuffled stream no more is known of a row's place.
STREAM = "data.train (a stream, its rows counted in the batch that is read)"


@dataclass(frozen=True, kw_only=True)
class RawColumns:
    """The column of raw text."""

    text: str = "text"


def check_padding(tokenizer: PreTrainedTokenizerBase, path: str) -> None:
    """Refuse a tokenizer that cannot pad; where it ends texts, that token pads them too.

    Padding is masked, so that any token will do.

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


def check_roles(*names: str | None) -> None:
    """Refuse a column that is given two roles."""
    given = [name for name in names if name is not None]
    if len(set(given)) < len(given):
        raise InputError(f"a column has one role, but they are {', '.join(given)}")


def text_keys(table: Table, *roles: str) -> list[Hashable]:
    """The texts of each row."""
    columns = [table.column(role) for role in roles if role in table.rows.column_names]
    return list(zip(*columns, strict=True))


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
    """Encode a stream batch by batch, its columns under the names of their roles.

    Raises:
        InputError: the stream is empty, or its first row lacks a column.
    """
    first = next(iter(rows), None)
    # A data set of one row is checked as any other.
    pick_columns(Dataset.from_list([] if first is None else [first]), roles, "data.train")

    def renamed(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
        return encode({role: batch[column] for role, column in roles.items()})

    return rows.map(renamed, batched=True, remove_columns=list(first or ()))


def mean_by_document(logits: np.ndarray, documents: np.ndarray | None) -> np.ndarray:
    """The mean over each document's windows: [windows, C] to [documents, C]."""
    if documents is None:
        return logits
    windows = np.bincount(documents)
    sums = np.zeros((len(windows), *logits.shape[1:]))
    np.add.at(sums, documents, logits)
    return (sums / windows[:, None]).astype(logits.dtype)
