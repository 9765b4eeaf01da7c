"""Which checkpoint to resume from: Trainer does not write them atomically."""

import json
import re
import zipfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

STATE_FILES = ("trainer_state.json", "optimizer.pt", "scheduler.pt")


def latest_complete_checkpoint(folder: str | Path) -> Path | None:
    """The newest complete ``checkpoint-N`` of a run with finite weights, or None.

    A run killed while saving leaves a newest checkpoint that Trainer cannot resume from and does
    not skip. Complete means: the state is at the folder's step, the config is a JSON object, the
    optimizer's, scheduler's and random generators' archives are intact, and every weight file has
    the length given in its header. Weights that have diverged are not worth resuming.
    """
    return next(filter(_is_complete, list_checkpoints(folder)), None)


def list_checkpoints(folder: str | Path) -> list[Path]:
    """All paths named ``checkpoint-N``, the newest first."""
    numbered = {}
    for path in Path(folder).glob("checkpoint-*"):
        if match := re.fullmatch(r"checkpoint-(\d+)", path.name):
            numbered[int(match[1])] = path
    return [numbered[step] for step in sorted(numbered, reverse=True)]


def _is_complete(checkpoint: Path) -> bool:
    if not all((checkpoint / name).is_file() for name in STATE_FILES):
        return False
    step = int(checkpoint.name.removeprefix("checkpoint-"))
    weights = sorted(checkpoint.glob("*.safetensors"))
    archives = [checkpoint / name for name in STATE_FILES[1:]]
    return (
        bool(weights)
        and (_json(checkpoint / STATE_FILES[0]) or {}).get("global_step") == step
        and all(_json(file) is not None for file in checkpoint.glob("*.json"))
        and all(map(zipfile.is_zipfile, [*archives, *checkpoint.glob("rng_state*.pth")]))
        and all(map(_is_finite, weights))
    )


def _json(file: Path) -> dict[str, Any] | None:
    """The object in a file; None where it holds none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError):
        return None
    return found if isinstance(found, dict) else None


def _is_finite(weights: Path) -> bool:
    try:
        with safe_open(weights, framework="pt") as file:
            return all(file.get_tensor(name).isfinite().all() for name in file.keys())
    except (SafetensorError, OSError):
        return False
