"""What a run was measured on and with."""

import os
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from .. import __version__

CPU_INFO = Path("/proc/cpuinfo")


@dataclass(frozen=True, kw_only=True)
class Device:
    """Where the models ran.

    Attributes:
        name: of the processor or the GPU.
        cores: CPU cores that this process may use.
        threads: CPU threads torch computes with.
    """

    name: str
    cores: int
    threads: int


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Versions and device."""

    attndistill: str
    torch: str
    transformers: str
    python: str
    device: Device


def detect_environment(device: torch.device | None = None) -> Environment:
    """Versions and device of this process; ``device`` is the models' (default: the CPU)."""
    return Environment(
        attndistill=__version__,
        torch=torch.__version__,
        transformers=version("transformers"),
        python=platform.python_version(),
        device=Device(
            name=device_name(device or torch.device("cpu")),
            cores=_cores(),
            threads=torch.get_num_threads(),
        ),
    )


def device_name(device: torch.device) -> str:
    """The processor's or the GPU's name, as its maker gives it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def counted(number: int, noun: str) -> str:
    """Things in words: "1 thread", "2 threads"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
