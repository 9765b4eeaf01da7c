"""Where numbers come from: commit, date, device, versions and command."""

import datetime
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

from .. import __version__


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """The provenance of a measurement.

    Attributes:
        commit: of the source tree (``-dirty`` with changes not committed), or else the version.
        date: in ISO form, UTC.
        device: ``cpu`` with the processor's name and torch's threads, or ``cuda`` with the GPU's.
        torch: its version.
        command: what to type.
    """

    commit: str
    date: str
    device: str
    torch: str
    command: str


def stamp(device: str, command: str, commit: str | None = None) -> Stamp:
    """The stamp of this process; ``commit`` where the source tree does not know it."""
    return Stamp(
        commit=commit or _commit() or __version__,
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        device=device_name(device),
        torch=torch.__version__,
        command=command,
    )


def device_name(device: str) -> str:
    """The device in words."""
    if device == "cuda":
        return f"cuda: {torch.cuda.get_device_name()}"
    from ..measure.environment import cpu_name

    return f"cpu: {cpu_name()}, {torch.get_num_threads()} threads"


def _commit() -> str | None:
    source = Path(__file__).parents[3]
    if not (source / ".git").exists():
        return None
    described = subprocess.run(
        ["git", "-C", str(source), "describe", "--always", "--dirty", "--exclude", "*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or None
