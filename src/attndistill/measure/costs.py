"""What a model costs to keep and to run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from ..errors import InputError
from .attempts import attempt
from .energy import ASSUMED_WATTS, Energy, estimate_energy, measure_energy, open_meter
from .flops import Flops, count_flops
from .inference import Collator, batches, inference, input_size, model_inputs
from .memory import peak_memory
from .parameters import Parameters, count_parameters, weight_bytes
from .timing import Latency, time_in_turn, wall_seconds

WARM_UP_ROUNDS = 3
# At least and at most.
TIMED_ROUNDS = (30, 300)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a model costs, on rows of the data set's median length.

    Attributes:
        parameters: counts.
        size_bytes: of the saved folder's weights; None where no folder was given.
        latency: one per batch size, ascending.
        flops: per example.
        peak_memory_bytes: weights plus the largest live tensors of a forward of the largest batch.
        energy: of 1,000 inferences at the largest batch size.
        missing: by name, why a figure could not be measured; it is then None, a latency absent.
    """

    parameters: Parameters
    size_bytes: int | None
    latency: tuple[Latency, ...]
    flops: Flops | None
    peak_memory_bytes: int | None
    energy: Energy | None
    missing: dict[str, str] = field(default_factory=dict)


def measure_costs(
    models: Mapping[str, PreTrainedModel],
    dataset: Any,
    collator: Collator,
    *,
    batch_sizes: Sequence[int] = (1, 32),
    folders: Mapping[str, Path] | None = None,
    seconds: float = 3.0,
    watts: float | None = None,
) -> dict[str, Cost]:
    """Measure models on the same rows of typical length, in turn.

    A figure that cannot be measured is left out, with the reason in ``Cost.missing``.

    Args:
        models: by name, on one device.
        dataset: encoded rows; those closest to the median length are used.
        collator: makes a batch of a list of rows.
        batch_sizes: examples per forward.
        folders: by name, where a model is saved.
        seconds: of latency measurement per batch size, all models together; and of energy
            measurement per model.
        watts: declared power for the energy estimate where no meter can be read; None for a
            common processor's or GPU's.

    Raises:
        InputError: the data set is empty.
    """
    sizes = sorted(set(batch_sizes))
    device = next(iter(models.values())).device
    rows = typical_rows(dataset, sizes[-1])
    prepared = {
        (name, size): _batch(model, rows, collator, size)
        for name, model in models.items()
        for size in (1, *sizes)
    }
    common: dict[str, str] = {}
    with inference(*models.values()):
        runs = {
            size: {name: _forward(model, prepared[name, size]) for name, model in models.items()}
            for size in sizes
        }
        timed = {
            size: attempt(f"latency at batch {size}", partial(_times, runs[size], seconds), common)
            for size in sizes
        }
        measure = partial(_measured_energy, runs[sizes[-1]], device, sizes[-1], seconds)
        energy = attempt("energy", measure, common)
    if energy is None:
        energy = _estimated_energy(timed[sizes[-1]], device, sizes[-1], watts, common)
    costs = {}
    for name, model in models.items():
        missing = dict(common)
        on_disk = None
        if folders and name in folders:
            on_disk = attempt("size on disk", partial(weight_bytes, folders[name]), missing)
        costs[name] = Cost(
            parameters=count_parameters(model),
            size_bytes=on_disk,
            latency=tuple(
                _latency(times[name], prepared[name, size])
                for size, times in timed.items()
                if times
            ),
            flops=attempt("FLOPs", partial(count_flops, model, prepared[name, 1]), missing),
            peak_memory_bytes=attempt(
                "peak memory", partial(peak_memory, model, prepared[name, sizes[-1]]), missing
            ),
            energy=energy[name] if energy is not None else None,
            missing=missing,
        )
    return costs


def _times(runs: Mapping[str, Callable[[], None]], seconds: float) -> dict[str, np.ndarray]:
    return time_in_turn(
        runs,
        seconds=seconds,
        rounds=TIMED_ROUNDS,
        warm_up=WARM_UP_ROUNDS,
        time_one=wall_seconds,
    )


def _measured_energy(
    runs: Mapping[str, Callable[[], None]],
    device: torch.device,
    batch_size: int,
    seconds: float,
) -> dict[str, Energy] | None:
    meter = open_meter(device)
    if meter is None:
        return None
    return measure_energy(runs, meter, batch_size=batch_size, seconds=seconds)


def _estimated_energy(
    times: Mapping[str, np.ndarray] | None,
    device: torch.device,
    batch_size: int,
    watts: float | None,
    missing: dict[str, str],
) -> dict[str, Energy] | None:
    """Energy by the median latency; ``missing`` keeps why the meter, or all energy, is absent."""
    if times is None:
        missing.setdefault("energy", "no meter, and no latency to estimate it from")
        return None
    if reason := missing.pop("energy", None):
        missing["energy by the meter"] = reason
    return {
        name: estimate_energy(
            float(np.median(seconds)),
            batch_size=batch_size,
            watts=watts or ASSUMED_WATTS.get(device.type, ASSUMED_WATTS["cpu"]),
            declared=watts is not None,
        )
        for name, seconds in times.items()
    }


def typical_rows(dataset: Any, count: int) -> Any:
    """The ``count`` rows whose length is closest to the median, repeated where there are fewer.

    The first row is the closest. Ties keep the order of the data set; images are all alike.

    Raises:
        InputError: the data set is empty.
    """
    if len(dataset) == 0:
        raise InputError("costs are measured on rows of the data set, but it is empty")
    texts = dataset["input_ids"] if "input_ids" in dataset.column_names else [()] * len(dataset)
    lengths = np.array([len(tokens) for tokens in texts])
    closest = np.argsort(np.abs(lengths - np.median(lengths)), kind="stable")
    return dataset.select(np.resize(closest[:count], count))


def _batch(model: PreTrainedModel, rows: Any, collator: Collator, size: int) -> dict[str, Tensor]:
    chosen = rows.select(range(size))
    batch = next(batches(chosen, collator, device=model.device, batch_size=size))
    return model_inputs(model, batch)


def _forward(model: PreTrainedModel, batch: dict[str, Tensor]) -> Callable[[], None]:
    def run() -> None:
        model(**batch)
        if model.device.type == "cuda":
            torch.cuda.synchronize(model.device)

    return run


def _latency(seconds: np.ndarray, batch: dict[str, Tensor]) -> Latency:
    median, p95 = np.percentile(1000 * seconds, [50, 95])
    return Latency(
        batch_size=len(next(iter(batch.values()))),
        input_size=input_size(batch),
        median_ms=float(median),
        p95_ms=float(p95),
        runs=len(seconds),
        threads=torch.get_num_threads(),
    )
