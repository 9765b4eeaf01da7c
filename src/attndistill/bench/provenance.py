"""Where numbers come from: commit, date, device, versions and command."""

import datetime
import subprocess
from dataclasses import dataclass
from pathlib import Path

import torch

from .. import __version__
from ..measure.environment import counted, device_name


@dataclass(frozen=True, kw_only=True)
class Stamp:
    """The provenance of a measurement.

    Attributes:
        commit: see `source_commit`.
        date: in ISO form, UTC.
        device: ``cpu`` with the processor's name and torch's threads, or ``cuda`` with the GPU's.
        torch: its version.
        command: that made it.
    """

    commit: str
    date: str
    device: str
    torch: str
    command: str


def stamp(device: str, command: str, commit: str | None = None) -> Stamp:
    """The stamp of this process; ``commit`` overrides that of the source tree."""
    return Stamp(
        commit=commit or source_commit(),
        date=datetime.datetime.now(datetime.UTC).date().isoformat(),
        device=_in_words(device),
        torch=torch.__version__,
        command=command,
    )


def source_commit() -> str:
    """The commit of the source tree, ``-dirty`` with changes not committed, or else the version."""
    source = Path(__file__).parents[3]
    if not (source / ".git").exists():
        return __version__
    described = subprocess.run(
        ["git", "-C", str(source), "describe", "--always", "--dirty", "--exclude", "*"],
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or __version__


def _in_words(device: str) -> str:
    name = f"{device}: {device_name(torch.device(device))}"
    return name if device == "cuda" else f"{name}, {counted(torch.get_num_threads(), 'thread')}"
