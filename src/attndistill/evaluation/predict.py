"""The predictions of a classifier on every row of a data set."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from ..capture.forward import evaluating, forward_columns, run_model
from ..errors import InputError

Collator = Callable[[list[dict[str, Any]]], dict[str, Tensor]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Predictions:
    """A classifier's logits on the rows of a data set, in its order.

    Attributes:
        logits: float32 [N, C].
        labels: int64 [N], the rows' true classes.
    """

    logits: np.ndarray
    labels: np.ndarray

    @property
    def classes(self) -> np.ndarray:
        """[N] predicted classes."""
        return self.logits.argmax(1)

    @property
    def correct(self) -> np.ndarray:
        """[N] bool: whether the predicted class is the true one."""
        return self.classes == self.labels


def predict(
    model: nn.Module,
    dataset: Any,
    collator: Collator,
    *,
    batch_size: int = 64,
    description: str = "",
) -> Predictions:
    """Predict every row, in eval mode and without gradients.

    Args:
        model: a Transformers sequence classifier; its train and eval flags are restored.
        dataset: tokenised `datasets.Dataset` with a ``labels`` column; columns that the model's
            forward does not take are left out.
        collator: makes a batch of a list of rows.
        batch_size: rows per forward.
        description: shown beside a progress bar on stderr; no bar when empty.

    Raises:
        InputError: the data set is empty, or a logit is not finite.
    """
    if len(dataset) == 0:
        raise InputError("there are no rows to predict: the data set is empty")
    logits, labels = [], []
    with inference(model):
        for batch in batches(
            dataset,
            collator,
            columns={*input_columns(model), "labels"},
            device=next(model.parameters()).device,
            batch_size=batch_size,
            description=description,
        ):
            labels.append(batch.pop("labels").cpu())
            logits.append(run_model(model, batch).logits.float().cpu())
    all_logits = torch.cat(logits).numpy()
    bad_rows = np.flatnonzero(~np.isfinite(all_logits).all(1))
    if len(bad_rows):
        raise InputError(
            f"{type(model).__name__} gives logits that are not finite on {len(bad_rows)} of "
            f"{len(all_logits)} rows (first: row {bad_rows[0]}); its weights have probably "
            "diverged: lower the learning rate, or check the checkpoint"
        )
    return Predictions(logits=all_logits, labels=torch.cat(labels).long().numpy())


@contextmanager
def inference(*models: nn.Module) -> Iterator[None]:
    """Eval mode without gradients; every module's own flag is restored on exit."""
    with torch.no_grad(), evaluating(*models):
        yield


def input_columns(model: nn.Module) -> set[str]:
    """The columns that the model's forward names, without ``labels``."""
    return {*forward_columns(model)} - {"labels"}


def batches(
    dataset: Any,
    collator: Collator,
    *,
    columns: set[str],
    device: torch.device,
    batch_size: int,
    description: str = "",
) -> Iterator[dict[str, Tensor]]:
    """The batches of a data set in order, with those of ``columns`` that it has, on ``device``."""
    dataset = dataset.select_columns([name for name in dataset.column_names if name in columns])
    starts = track(
        range(0, len(dataset), batch_size),
        description=description,
        console=Console(stderr=True),
        disable=not description,
        transient=True,
    )
    for start in starts:
        rows = [dataset[row] for row in range(start, min(start + batch_size, len(dataset)))]
        yield {name: tensor.to(device) for name, tensor in collator(rows).items()}
