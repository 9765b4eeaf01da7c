"""Energy of inference: measured where the machine has a meter that can be read, else estimated."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import torch

POWERCAP = Path("/sys/class/powercap")
# Thermal design power of a common desktop processor and data-centre GPU: declare your own's.
ASSUMED_WATTS = {"cpu": 65.0, "cuda": 300.0}
MEASURED_BLOCKS = 3


class EnergySource(StrEnum):
    """Where an energy figure comes from."""

    MEASURED = "measured"
    ESTIMATED = "estimated"


@dataclass(frozen=True, kw_only=True)
class Energy:
    """Energy of 1,000 inferences.

    Attributes:
        joules: of 1,000 examples.
        source: measured by a meter, or estimated as watts × seconds. An estimate adds nothing to
            what the latency says.
        method: the meter read, or how it was estimated.
        watts: the declared or assumed power of an estimate; None where measured.
        batch_size: examples per forward.
    """

    joules: float
    source: EnergySource
    method: str
    watts: float | None
    batch_size: int


class EnergyMeter(Protocol):
    """A counter of joules; ``method`` says which."""

    method: str

    def joules(self) -> float:
        """Joules drawn since the last call (since opening, at the first)."""
        ...


class RaplMeter:
    """The processor's own energy counters (Intel RAPL, also on AMD), by Linux powercap.

    It counts whole packages and their memory: the idle draw and other programs are in it.
    """

    def __init__(self, zones: list[Path]) -> None:
        self.zones = zones
        self.method = "RAPL " + ", ".join(_read(zone / "name") for zone in zones)
        self.ranges = [int(_read(zone / "max_energy_range_uj")) for zone in zones]
        self.last = self._microjoules()

    def joules(self) -> float:
        """Joules drawn since the last call."""
        now = self._microjoules()
        # The counters wrap around at their range.
        drawn = [
            (new - old) % (limit + 1)
            for new, old, limit in zip(now, self.last, self.ranges, strict=True)
        ]
        self.last = now
        return sum(drawn) / 1e6

    def _microjoules(self) -> list[int]:
        return [int(_read(zone / "energy_uj")) for zone in self.zones]


class NvmlMeter:
    """The energy counter of an NVIDIA GPU (Volta and later)."""

    def __init__(self, device: torch.device) -> None:
        import pynvml

        self.read = pynvml.nvmlDeviceGetTotalEnergyConsumption
        pynvml.nvmlInit()
        # By its name: CUDA_VISIBLE_DEVICES renumbers torch's GPUs, but not NVML's.
        uuid = torch.cuda.get_device_properties(device).uuid
        self.handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}")
        self.method = f"NVML {pynvml.nvmlDeviceGetName(self.handle)}"
        self.last = self.read(self.handle)

    def joules(self) -> float:
        """Joules drawn since the last call."""
        now = self.read(self.handle)
        drawn = (now - self.last) / 1e3
        self.last = now
        return drawn


def open_meter(device: torch.device) -> EnergyMeter | None:
    """The meter of the device, or None where it has none that this user may read."""
    if device.type == "cuda":
        return _open_nvml(device)
    zones = [
        zone
        for zone in sorted(POWERCAP.glob("intel-rapl:*"))
        if _read_or_none(zone / "energy_uj") is not None
        and _read(zone / "name").startswith(("package", "dram"))
    ]
    return RaplMeter(zones) if zones else None


def measure_energy(
    runs: Mapping[str, Callable[[], object]],
    meter: EnergyMeter,
    *,
    batch_size: int,
    seconds: float,
) -> dict[str, Energy] | None:
    """Measure each run in alternating blocks, so that a drift of the machine hits all alike.

    Args:
        runs: by name, a call that does (and finishes) one forward of ``batch_size`` examples.
        meter: read before and after each block.
        batch_size: examples per call.
        seconds: of each run, in all its blocks.

    Returns:
        By name, or None where the meter does not advance (as on some virtual machines).
    """
    joules = dict.fromkeys(runs, 0.0)
    examples = dict.fromkeys(runs, 0)
    for _ in range(MEASURED_BLOCKS):
        for name, run in runs.items():
            meter.joules()
            end = time.perf_counter() + seconds / MEASURED_BLOCKS
            while True:
                run()
                examples[name] += batch_size
                if time.perf_counter() >= end:
                    break
            joules[name] += meter.joules()
    if not all(joules.values()):
        return None
    return {
        name: Energy(
            joules=1000 * joules[name] / examples[name],
            source=EnergySource.MEASURED,
            method=meter.method,
            watts=None,
            batch_size=batch_size,
        )
        for name in runs
    }


def estimate_energy(
    seconds_per_batch: float, *, batch_size: int, watts: float, declared: bool = False
) -> Energy:
    """Energy of 1,000 examples at a power that the user has declared, or else assumed."""
    known = "declared" if declared else "assumed"
    return Energy(
        joules=watts * seconds_per_batch * 1000 / batch_size,
        source=EnergySource.ESTIMATED,
        method=f"{watts:g} W {known} × measured seconds",
        watts=watts,
        batch_size=batch_size,
    )


def _open_nvml(device: torch.device) -> NvmlMeter | None:
    try:
        import pynvml
    except ImportError:
        return None
    try:
        return NvmlMeter(device)
    except pynvml.NVMLError:
        return None


def _read(path: Path) -> str:
    return path.read_text().strip()


def _read_or_none(path: Path) -> str | None:
    try:
        return _read(path)
    except OSError:
        return None
