"""Causal language models: raw text, prompts with completions, and chats."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from datasets import Dataset
from torch.nn import functional as F
from transformers import (
    AutoModelForCausalLM,
    DataCollatorForSeq2Seq,
    DataCollatorWithFlattening,
    PreTrainedConfig,
    PreTrainedModel,
)

from ..errors import InputError, data_rows, shown
from ..measure import Collator, check_finite_rows, outputs
from ..metrics import Assessment, assess_language
from ..objectives import IGNORED_LABEL
from .columns import Table, check_roles
from .encoded import Data, Split
from .labels import LabelMap
from .sequences import Tokens, cut, of_completion, of_messages, of_text, pieces
from .text import RawColumns, TextTask

# The logits of one batch are held at a time: this many numbers are 512 MB in fp32.
MOST_LOGITS = 2**27
LARGEST_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class PromptColumns:
    """The columns of prompt and completion: only the completion is learnt."""

    prompt: str
    completion: str

    def __post_init__(self) -> None:
        check_roles(self.prompt, self.completion)


@dataclass(frozen=True, kw_only=True)
class ChatColumns:
    """The column of chats, lists of {role, content}: only what the assistant says is learnt."""

    messages: str


@dataclass(frozen=True, kw_only=True)
class CausalLM(TextTask):
    """Causal language modelling with ``AutoModelForCausalLM``.

    ``metric`` takes four values for every labelled token: its loss, the likeliest token, the true
    token and the row.

    Attributes:
        columns: raw text, prompts with completions, or chats.
        packing: train on the texts of a batch as one row without padding; they do not see each
            other. Raw text is then cut into pieces of ``max_length``, and nothing is lost.
    """

    name: ClassVar[str] = "causal-lm"

    columns: RawColumns | PromptColumns | ChatColumns = RawColumns()
    max_length: int = 512
    packing: bool = False

    @property
    def streams(self) -> bool:
        """Texts, prompts and chats are learnt as they are."""
        return True

    def model_class(self, config: PreTrainedConfig) -> Any:
        """A model with a language-model head."""
        return AutoModelForCausalLM

    def fit_processor(self, processor: Any, path: str) -> None:
        """Chats need a template."""
        super().fit_processor(processor, path)
        if isinstance(self.columns, ChatColumns) and not processor.chat_template:
            raise InputError(
                f"the tokenizer of {path} has no chat template, so chats cannot be written; name "
                "prompt and completion columns instead of messages"
            )

    def encode(
        self, table: Table, labels: LabelMap | None, processor: Any, *, training: bool
    ) -> Split:
        """Token ids and labels, cut at ``max_length``; rows with nothing to learn are left out."""
        rows, documents, truncated = [], [], 0
        for document, tokens in enumerate(self._tokens(table.rows, processor)):
            parts = self._parts(tokens, training=training)
            rows += parts
            documents += [document] * len(parts)
            truncated += sum(len(part.input_ids) for part in parts) < len(tokens.input_ids)
        left_out = len(table) - len(set(documents))
        if not rows:
            raise InputError(
                f"{table.source}: nothing is left to learn in any row at data.max_length "
                f"{self.max_length}: the prompts fill it; raise it"
            )
        notes = (
            f"{left_out} of the {len(table)} rows of {table.source} are left out: within "
            f"{self.max_length} tokens nothing of them is to be learnt."
        )
        return Split(
            rows=Dataset.from_dict(_columns(rows, masked=not (training and self.packing))),
            table=table,
            truncated=truncated / len(table),
            documents=np.array(documents),
            notes=(notes,) if left_out else (),
        )

    def _encode_texts(self, columns: Mapping[str, Any], tokenizer: Any) -> dict[str, list[Any]]:
        texts = self._tokens(columns, tokenizer)
        parts = [part for tokens in texts for part in self._parts(tokens, training=True)]
        return _columns(parts, masked=not self.packing)

    def _collator(self, processor: Any, model: PreTrainedModel) -> Collator:
        pad, flatten = DataCollatorForSeq2Seq(processor), DataCollatorWithFlattening()

        def collate(rows: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
            # Without an attention mask, and without a cache, restarting positions keep texts apart.
            return dict((pad if "attention_mask" in rows[0] else flatten)(rows))

        return collate

    def _assess(
        self, model: PreTrainedModel, data: Data, teacher: Assessment | None, description: str
    ) -> Assessment:
        """The perplexity over all labelled tokens."""
        rows = data.test.rows
        longest = max(len(ids) for ids in rows["input_ids"])
        batch_size = MOST_LOGITS // (longest * model.config.get_text_config().vocab_size)
        found: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        for output, batch in outputs(
            model,
            rows,
            data.collator,
            batch_size=min(max(batch_size, 1), LARGEST_BATCH),
            description=description,
        ):
            found += [
                _losses(logits[:-1], labels[1:])
                for logits, labels in zip(output.logits, batch["labels"], strict=True)
            ]
        check_finite_rows(model, np.array([np.isfinite(losses).all() for losses, _, _ in found]))
        losses, answers, labels = map(np.concatenate, zip(*found, strict=True))
        row_of_token = np.repeat(np.arange(len(found)), [len(row) for _, _, row in found])
        return (self.metric or assess_language)(losses, answers, labels, row_of_token)

    def _check(self, columns: Mapping[str, Sequence[Any]], source: str) -> None:
        if isinstance(self.columns, ChatColumns):
            _check_messages(columns["messages"], self.columns.messages, source)
        else:
            super()._check(columns, source)

    def _tokens(self, rows: Any, tokenizer: Any) -> Iterator[Tokens]:
        match self.columns:
            case RawColumns():
                yield from (of_text(text, tokenizer) for text in rows["text"])
            case PromptColumns():
                for prompt, completion in zip(rows["prompt"], rows["completion"], strict=True):
                    yield of_completion(prompt, completion, tokenizer)
            case ChatColumns():
                yield from (of_messages(chat, tokenizer) for chat in rows["messages"])

    def _parts(self, tokens: Tokens, *, training: bool) -> list[Tokens]:
        """The sequences that a text is cut into; those without anything to learn are left out."""
        if training and self.packing and isinstance(self.columns, RawColumns):
            parts = pieces(tokens, self.max_length)
        else:
            parts = [cut(tokens, self.max_length)]
        return [part for part in parts if any(label != IGNORED_LABEL for label in part.labels)]


def _columns(rows: Sequence[Tokens], *, masked: bool) -> dict[str, list[Any]]:
    columns = {
        "input_ids": [tokens.input_ids for tokens in rows],
        "labels": [tokens.labels for tokens in rows],
    }
    if masked:
        columns["attention_mask"] = [[1] * len(tokens.input_ids) for tokens in rows]
    return columns


def _losses(
    logits: torch.Tensor, labels: torch.Tensor
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Loss, likeliest token and true token of each labelled place; logits [L, V], labels [L]."""
    counted = labels != IGNORED_LABEL
    logits, labels = logits[counted].float(), labels[counted]
    losses = F.cross_entropy(logits, labels, reduction="none")
    return losses.cpu().numpy(), logits.argmax(-1).cpu().numpy(), labels.cpu().numpy()


def _check_messages(values: Sequence[Any], column: str, source: str) -> None:
    for row, chat in enumerate(values):
        well = isinstance(chat, list) and all(
            isinstance(turn, Mapping)
            and isinstance(turn.get("role"), str)
            and isinstance(turn.get("content"), str)
            for turn in chat
        )
        if not well:
            raise InputError(
                f"{source}: column {column!r} must hold lists of messages with role and content, "
                f"but {data_rows([row])} holds {shown(chat)}"
            )
        if not any(turn["role"] == "assistant" for turn in chat):
            raise InputError(
                f"{source}: {data_rows([row])} has no message of role assistant, so nothing of it "
                "is to be learnt; remove it"
            )
