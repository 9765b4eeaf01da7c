"""General distillation of an encoder without a head, on raw text."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from datasets import Dataset, IterableDataset
from transformers import (
    AutoModel,
    DataCollatorWithPadding,
    PreTrainedConfig,
    PreTrainedModel,
)

from ..errors import InputError
from ..measure import Collator, check_finite_rows, outputs
from ..metrics import Assessment, assess_similarities
from .columns import Table, check_texts, pick_columns
from .labels import LabelMap
from .task import Data, Split, Task
from .text import (
    STREAM,
    RawColumns,
    check_max_length,
    check_padding,
    stream_map,
    text_keys,
    truncated_share,
)

BATCH_SIZE = 32
# Every text is compared with every other.
MOST_TEXTS = 512


@dataclass(frozen=True, kw_only=True)
class FeatureExtraction(Task):
    """An encoder without a head (``AutoModel``): it learns on raw text how its teacher attends.

    The student is then fine-tuned for any task. ``metric`` takes one embedding per text, the mean
    over its tokens, and the teacher's assessment (None for the teacher itself).

    Attributes:
        columns: which column is what.
        max_length: tokens at which a text is cut off.
    """

    name: ClassVar[str] = "feature-extraction"

    columns: RawColumns = RawColumns()
    max_length: int = 128

    def __post_init__(self) -> None:
        check_max_length(self.max_length)

    @property
    def labelled(self) -> bool:
        """There are no labels."""
        return False

    @property
    def logits_term(self) -> None:
        """There are no logits."""
        return None

    @property
    def streams(self) -> bool:
        """Texts need nothing else."""
        return True

    @property
    def longest(self) -> int:
        """Tokens of a text."""
        return self.max_length

    def model_class(self, config: PreTrainedConfig) -> Any:
        """A model without a head."""
        if config.is_encoder_decoder:
            raise InputError("feature-extraction is for encoders; an encoder–decoder summarizes")
        return AutoModel

    def may_lack(self, weight: str) -> bool:
        """The pooler takes no part."""
        return "pooler" in weight

    def read(self, datasets: Mapping[str, Dataset]) -> dict[str, Table]:
        """Texts."""
        tables = {}
        for split, dataset in datasets.items():
            source = f"data.{split}"
            rows = pick_columns(dataset, {"text": self.columns.text}, source)
            check_texts(list(rows["text"]), self.columns.text, source)
            tables[split] = Table(rows=rows, source=source)
        return tables

    def fit_processor(self, processor: Any, path: str) -> None:
        """It pads."""
        check_padding(processor, path)

    def encode(
        self, table: Table, labels: LabelMap | None, processor: Any, *, training: bool
    ) -> Split:
        """Token ids, cut at ``max_length``."""
        encoded = self._token_ids(table.column("text"), processor)
        share = truncated_share(table, encoded["input_ids"], processor, self.max_length)
        return Split(rows=Dataset.from_dict(encoded), table=table, truncated=share)

    def stream(self, rows: IterableDataset, processor: Any) -> Split:
        """Token ids, encoded on the way."""

        def encode(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
            check_texts(batch["text"], self.columns.text, STREAM)
            return self._token_ids(batch["text"], processor)

        return Split(rows=stream_map(rows, {"text": self.columns.text}, encode), table=None)

    def _collator(self, processor: Any, model: PreTrainedModel) -> Collator:
        return DataCollatorWithPadding(processor)

    def assess(
        self,
        model: PreTrainedModel,
        data: Data,
        *,
        teacher: Assessment | None = None,
        description: str = "",
    ) -> Assessment:
        """How like the teacher's the similarities between the first test texts are."""
        rows = data.test.rows.select(range(min(MOST_TEXTS, len(data.test.rows))))
        embeddings = []
        for output, batch in outputs(
            model, rows, data.collator, batch_size=BATCH_SIZE, description=description
        ):
            mask = batch["attention_mask"][..., None]
            means = (output.last_hidden_state * mask).sum(1) / mask.sum(1)
            embeddings.append(means.float().cpu().numpy())
        together = np.concatenate(embeddings)
        check_finite_rows(model, np.isfinite(together).all(1))
        return (self.metric or assess_similarities)(together, teacher)

    def keys(self, table: Table) -> list[Hashable]:
        """The texts."""
        return text_keys(table, "text")

    def _token_ids(self, texts: list[str], tokenizer: Any) -> dict[str, list[Any]]:
        return dict(tokenizer(texts, truncation=True, max_length=self.max_length))
