"""Which checkpoint to resume from: Trainer does not write them atomically."""

import json
import re
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open

STATE_FILES = ("trainer_state.json", "optimizer.pt", "scheduler.pt")


def latest_complete_checkpoint(folder: str | Path) -> Path | None:
    """The newest ``checkpoint-N`` of a run that was written to its end, or None.

    A run killed while saving leaves a newest checkpoint that Trainer cannot resume from and does
    not skip. Whole means: the state and the config are JSON objects, the optimizer's, scheduler's
    and random generators' archives end as they should, and every weight file is as long as its
    header says.
    """
    numbered = []
    for path in Path(folder).glob("checkpoint-*"):
        if match := re.fullmatch(r"checkpoint-(\d+)", path.name):
            numbered.append((int(match[1]), path))
    return next((path for _, path in sorted(numbered, reverse=True) if _is_complete(path)), None)


def _is_complete(checkpoint: Path) -> bool:
    if not all((checkpoint / name).is_file() for name in STATE_FILES):
        return False
    weights = sorted(checkpoint.glob("*.safetensors"))
    archives = [checkpoint / name for name in STATE_FILES[1:]]
    return (
        bool(weights)
        and all(map(_is_json, checkpoint.glob("*.json")))
        and all(map(zipfile.is_zipfile, [*archives, *checkpoint.glob("rng_state*.pth")]))
        and all(map(_is_whole, weights))
    )


def _is_json(file: Path) -> bool:
    try:
        return isinstance(json.loads(file.read_text(encoding="utf-8")), dict)
    except ValueError:
        return False


def _is_whole(weights: Path) -> bool:
    try:
        with safe_open(weights, framework="pt"):
            return True
    except (SafetensorError, OSError):
        return False
