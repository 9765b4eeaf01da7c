"""Summarization with an encoder–decoder, or with a decoder alone that continues the text."""

from dataclasses import dataclass, fields
from typing import Any, ClassVar

from datasets import Dataset
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    DataCollatorForSeq2Seq,
    PreTrainedConfig,
    PreTrainedModel,
)

from ..errors import InputError
from ..measure import Collator, generate
from ..metrics import Assessment, assess_summaries
from ..objectives import IGNORED_LABEL
from .columns import Table, check_roles
from .encoded import Data, Split
from .labels import LabelMap
from .sequences import Tokens, ended, opening
from .text import TextTask, check_max_length

PLACE = "{text}"
BATCH_SIZE = 16


@dataclass(frozen=True, kw_only=True)
class SummaryColumns:
    """The data's columns by their role."""

    text: str = "text"
    summary: str = "summary"

    def __post_init__(self) -> None:
        check_roles(self.text, self.summary)


@dataclass(frozen=True, kw_only=True)
class Summarization(TextTask):
    """Summarization with an encoder–decoder: it reads the text, its decoder writes the summary.

    `fitted` gives the task for a decoder alone. Summaries are written as the model's generation
    config says, which the student keeps. ``metric`` takes the written summaries and the
    references, as texts.

    Attributes:
        max_target_length: tokens at which a reference is cut off, and of a written summary at most.
        template: what stands around the text, such as ``"summarize: {text}"``. None: nothing for an
            encoder–decoder; for a decoder alone ``TL;DR:`` on a line of its own after the text.
    """

    name: ClassVar[str] = "summarization"
    # An encoder–decoder's recipe must say which attention is to be taught.
    default_terms: ClassVar[tuple[str, ...]] = ("task", "logits")
    targets: ClassVar[tuple[str, ...]] = ("summary",)

    columns: SummaryColumns = SummaryColumns()
    max_length: int = 512
    max_target_length: int = 64
    template: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_max_length(self.max_target_length, "max_target_length")
        if self.template is not None and self.template.count(PLACE) != 1:
            raise InputError(f"template must hold {PLACE} once, but is {self.template!r}")

    @property
    def positions(self) -> int:
        """Tokens of the text or of the summary, whichever are more."""
        return max(self.max_length, self.max_target_length)

    def fitted(self, config: PreTrainedConfig) -> "Summarization":
        """The task for a model with this config."""
        kind = Summarization if config.is_encoder_decoder else DecoderSummarization
        return kind(**{field.name: getattr(self, field.name) for field in fields(self)})

    def model_class(self, config: PreTrainedConfig) -> Any:
        """A model that writes."""
        return AutoModelForSeq2SeqLM if config.is_encoder_decoder else AutoModelForCausalLM

    def encode(
        self, table: Table, labels: LabelMap | None, processor: Any, *, training: bool
    ) -> Split:
        """Token ids of text and summary, each cut at its length."""
        rows, truncated = [], 0
        for text, summary in zip(table.rows["text"], table.rows["summary"], strict=True):
            row, was_cut = self._tokens(text, summary, processor)
            rows.append(row)
            truncated += was_cut
        columns = {
            "input_ids": [row.input_ids for row in rows],
            "attention_mask": [[1] * len(row.input_ids) for row in rows],
            "labels": [row.labels for row in rows],
        }
        share = truncated / len(table)
        return Split(rows=Dataset.from_dict(columns), table=table, truncated=share)

    def _collator(self, processor: Any, model: PreTrainedModel) -> Collator:
        pad = DataCollatorForSeq2Seq(processor, model=model)
        return lambda rows: dict(pad(rows))

    def _assess(
        self, model: PreTrainedModel, data: Data, teacher: Assessment | None, description: str
    ) -> Assessment:
        """What the model writes of the test texts, against their summaries."""
        assert data.test.table is not None, "tests are no streams"
        rows = data.test.rows
        written = generate(
            model,
            [self._prompt(*row) for row in zip(rows["input_ids"], rows["labels"], strict=True)],
            data.processor,
            max_new_tokens=self.max_target_length,
            batch_size=BATCH_SIZE,
            description=description,
        )
        return (self.metric or assess_summaries)(written, data.test.table.column("summary"))

    def _tokens(self, text: str, summary: str, tokenizer: Any) -> tuple[Tokens, bool]:
        """A row, and whether its text was cut."""
        given = (self.template or PLACE).replace(PLACE, text)
        ids = tokenizer(given, truncation=True, max_length=self.max_length)["input_ids"]
        full = len(ids) == self.max_length
        was_cut = full and len(tokenizer(given, verbose=False)["input_ids"]) > len(ids)
        target = tokenizer(text_target=summary, truncation=True, max_length=self.max_target_length)
        # A summary must end, also where the tokenizer does not say so.
        return Tokens(ids, ended(target["input_ids"], tokenizer)[: self.max_target_length]), was_cut

    def _prompt(self, ids: list[int], labels: list[int]) -> list[int]:
        """What the model is given to write a summary."""
        return ids


@dataclass(frozen=True, kw_only=True)
class DecoderSummarization(Summarization):
    """Summarization with a decoder alone: it continues the text.

    The text is cut before the template is put around it, so that the template stays whole.
    """

    @property
    def positions(self) -> int:
        """Text and summary are in one row."""
        return self.max_length + self.max_target_length

    def _tokens(self, text: str, summary: str, tokenizer: Any) -> tuple[Tokens, bool]:
        before, after = (self.template or f"{PLACE}\nTL;DR: ").split(PLACE)
        end = tokenizer(after, add_special_tokens=False)["input_ids"] if after else []
        start = opening(tokenizer(before + text, verbose=False)["input_ids"], tokenizer)
        room = self.max_length - len(end)
        if room < 1:
            raise InputError(
                f"data.max_length {self.max_length} leaves no room for a text beside the "
                f"{len(end)} tokens of the template; raise it"
            )
        given = start[:room] + end
        target = ended(tokenizer(summary, add_special_tokens=False)["input_ids"], tokenizer)
        target = target[: self.max_target_length]
        return Tokens(given + target, [IGNORED_LABEL] * len(given) + target), len(start) > room

    def _prompt(self, ids: list[int], labels: list[int]) -> list[int]:
        return ids[: next(place for place, label in enumerate(labels) if label != IGNORED_LABEL)]
