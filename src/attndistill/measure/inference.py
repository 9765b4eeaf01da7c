"""A model's outputs on every row of a data set."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from ..capture.forward import evaluating, forward_columns, run_model
from ..errors import InputError

Collator = Callable[[list[dict[str, Any]]], dict[str, Tensor]]


def predict(
    model: nn.Module,
    dataset: Any,
    collator: Collator,
    *,
    batch_size: int = 64,
    description: str = "",
) -> np.ndarray:
    """The logits of every row, one vector per row, in eval mode and without gradients.

    Args:
        model: a Transformers classifier; its train and eval flags are restored.
        dataset: encoded rows.
        collator: makes a batch of a list of rows.
        batch_size: rows per forward.
        description: shown beside a progress bar on stderr; no bar when empty.

    Returns:
        float32 [N, C].

    Raises:
        InputError: the data set is empty, or a logit is not finite.
    """
    logits = [
        output.logits.float().cpu()
        for output, _ in outputs(
            model, dataset, collator, batch_size=batch_size, description=description
        )
    ]
    all_logits = torch.cat(logits).numpy()
    check_finite_rows(model, np.isfinite(all_logits).all(1))
    return all_logits


def outputs(
    model: nn.Module, dataset: Any, collator: Collator, *, batch_size: int, description: str = ""
) -> Iterator[tuple[Any, dict[str, Tensor]]]:
    """Each batch's output and the whole batch on the model's device, in eval mode.

    The model is not given the labels; what it does not take is left out.

    Raises:
        InputError: the data set is empty.
    """
    if len(dataset) == 0:
        raise InputError("there are no rows to predict: the data set is empty")
    device = next(model.parameters()).device
    with inference(model):
        for batch in batches(
            dataset, collator, device=device, batch_size=batch_size, description=description
        ):
            unlabelled = {name: tensor for name, tensor in batch.items() if name != "labels"}
            yield run_model(model, unlabelled), batch


def check_finite_rows(model: nn.Module, finite: np.ndarray) -> None:
    """Refuse a model whose outputs are not finite on every row; finite [N] bool.

    Raises:
        InputError: naming the first such row.
    """
    bad_rows = np.flatnonzero(~finite)
    if len(bad_rows):
        raise InputError(
            f"{type(model).__name__} gives logits that are not finite on {len(bad_rows)} of "
            f"{len(finite)} rows (first: row {bad_rows[0]}); its weights have probably "
            "diverged: lower the learning rate, or check the checkpoint"
        )


@contextmanager
def inference(*models: nn.Module) -> Iterator[None]:
    """Eval mode without gradients; every module's own flag is restored on exit."""
    with torch.no_grad(), evaluating(*models):
        yield


def model_inputs(model: nn.Module, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a batch that the model's forward takes, without ``labels``."""
    known = forward_columns(model) - {"labels"}
    return {name: tensor for name, tensor in batch.items() if name in known}


def input_size(batch: dict[str, Tensor]) -> str:
    """The size of one example of a batch, with padding: "24 tokens", "3×224×224 pixels"."""
    if "pixel_values" in batch:
        return "×".join(map(str, batch["pixel_values"].shape[1:])) + " pixels"
    sizes = [batch[name].shape[1] for name in ("input_ids", "decoder_input_ids") if name in batch]
    return " + ".join(map(str, sizes)) + " tokens"


def batches(
    dataset: Any,
    collator: Collator,
    *,
    device: torch.device,
    batch_size: int,
    description: str = "",
) -> Iterator[dict[str, Tensor]]:
    """The batches of a data set in order, on ``device``."""
    for start in batch_starts(len(dataset), batch_size, description):
        rows = [dataset[row] for row in range(start, min(start + batch_size, len(dataset)))]
        yield {name: tensor.to(device) for name, tensor in collator(rows).items()}


def batch_starts(rows: int, batch_size: int, description: str) -> Iterable[int]:
    """The first row of each batch; a ``description`` shows a progress bar on stderr."""
    return track(
        range(0, rows, batch_size),
        description=description,
        console=Console(stderr=True),
        disable=not description,
        transient=True,
    )
