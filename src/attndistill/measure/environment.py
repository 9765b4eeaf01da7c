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
    """Of this process; ``device`` is the models' (default: the CPU)."""
    on_gpu = device is not None and device.type == "cuda"
    return Environment(
        attndistill=__version__,
        torch=torch.__version__,
        transformers=version("transformers"),
        python=platform.python_version(),
        device=Device(
            name=torch.cuda.get_device_name(device) if on_gpu else cpu_name(),
            cores=_cores(),
            threads=torch.get_num_threads(),
        ),
    )


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_name() -> str:
    """The processor's, as its maker calls it."""
    lines = CPU_INFO.read_text().splitlines() if CPU_INFO.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
