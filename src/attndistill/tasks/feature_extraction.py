"""General distillation of an encoder without a head, on raw text."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from transformers import AutoModel, PreTrainedConfig, PreTrainedModel

from ..errors import InputError
from ..measure import check_finite_rows, outputs
from ..metrics import Assessment, assess_similarities
from .encoded import Data
from .text import RawColumns, TextTask

BATCH_SIZE = 32
# Every text is compared with every other.
MOST_TEXTS = 512


@dataclass(frozen=True, kw_only=True)
class FeatureExtraction(TextTask):
    """An encoder without a head (``AutoModel``): on raw text, it learns its teacher's attention.

    The student is then fine-tuned for any task. ``metric`` takes one embedding per text, the mean
    over its tokens, and the teacher's assessment (None for the teacher itself).
    """

    name: ClassVar[str] = "feature-extraction"

    columns: RawColumns = RawColumns()

    @property
    def labelled(self) -> bool:
        """Raw text has no labels."""
        return False

    @property
    def logits_term(self) -> None:
        """An encoder without a head has no logits."""
        return None

    def model_class(self, config: PreTrainedConfig) -> Any:
        """A model without a head."""
        if config.is_encoder_decoder:
            raise InputError("feature-extraction is for encoders; an encoder–decoder summarizes")
        return AutoModel

    def may_lack(self, weight: str) -> bool:
        """The pooler is not used."""
        return "pooler" in weight

    def _assess(
        self, model: PreTrainedModel, data: Data, teacher: Assessment | None, description: str
    ) -> Assessment:
        """How close the similarities between the first test texts are to the teacher's."""
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
