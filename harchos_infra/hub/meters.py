"""Energy meters: each gives joules counted since it was made, and says whether it measures or models.

One meter per node: whole machine, not one process, so that nothing is counted twice or left out.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from harchos_infra.hub.job import PowerModel

POWERCAP = Path("/sys/class/powercap")
_NVML_LIBRARY = "libnvidia-ml.so.1"


class Meter(Protocol):
    """Joules counted since the meter was made; `basis` is `measured` or `modelled`, `by` names the source."""

    basis: str
    by: str

    def joules(self) -> float:
        """Return the joules so far; never falls."""


class MeterUnavailableError(Exception):
    """This meter is not on this machine, or may not be read; says why."""


class NoGpu:
    """Meter of a machine without a GPU: nothing is drawn, and that is known."""

    basis = "measured"
    by = ""

    def joules(self) -> float:
        """Return 0."""
        return 0.0


class Nvml:
    """All NVIDIA GPUs of the machine, by NVML's total-energy counter (mJ), else by power (mW) over time."""

    basis = "measured"
    by = "nvml"

    def __init__(self, library: str = _NVML_LIBRARY) -> None:
        try:
            self._lib = ctypes.CDLL(library)
        except OSError as error:
            raise MeterUnavailableError(f"NVML: {error}") from error
        self._check(self._lib.nvmlInit_v2(), "nvmlInit")
        count = ctypes.c_uint()
        self._check(self._lib.nvmlDeviceGetCount_v2(ctypes.byref(count)), "nvmlDeviceGetCount")
        if count.value == 0:
            raise MeterUnavailableError("NVML: no GPU")
        self._gpus = [self._counter(index) for index in range(count.value)]

    def joules(self) -> float:
        """Return the joules of all GPUs since the meter was made."""
        return sum(gpu() for gpu in self._gpus)

    def _counter(self, index: int) -> Callable[[], float]:
        device = ctypes.c_void_p()
        self._check(
            self._lib.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(device)),
            "nvmlDeviceGetHandleByIndex",
        )
        energy = ctypes.c_ulonglong()
        if self._lib.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(energy)) == 0:
            first = energy.value
            return lambda: (self._energy_mj(device) - first) / 1000
        return Integral(lambda: self._power_mw(device) / 1000)

    def _energy_mj(self, device: ctypes.c_void_p) -> int:
        energy = ctypes.c_ulonglong()
        self._check(
            self._lib.nvmlDeviceGetTotalEnergyConsumption(device, ctypes.byref(energy)),
            "nvmlDeviceGetTotalEnergyConsumption",
        )
        return energy.value

    def _power_mw(self, device: ctypes.c_void_p) -> int:
        power = ctypes.c_uint()
        self._check(self._lib.nvmlDeviceGetPowerUsage(device, ctypes.byref(power)), "nvmlDeviceGetPowerUsage")
        return power.value

    @staticmethod
    def _check(code: int, call: str) -> None:
        if code != 0:
            raise MeterUnavailableError(f"NVML: {call} returned {code}")


class Integral:
    """Power readings (W) integrated over time by the trapezoidal rule."""

    def __init__(self, watts: Callable[[], float], clock: Callable[[], float] = time.monotonic) -> None:
        self._watts = watts
        self._clock = clock
        self._last = (clock(), watts())
        self._joules = 0.0

    def __call__(self) -> float:
        """Return the joules so far."""
        at, watts = self._clock(), self._watts()
        self._joules += (at - self._last[0]) * (watts + self._last[1]) / 2
        self._last = (at, watts)
        return self._joules


class Rapl:
    """CPU packages and, where the chip counts it apart, memory, by the kernel's powercap counters (µJ)."""

    basis = "measured"
    by = "rapl"

    def __init__(self, root: Path = POWERCAP) -> None:
        zones = [
            zone
            for zone in sorted(root.glob("intel-rapl:*"))
            if zone.name.count(":") == 1 or _text(zone / "name") == "dram"
        ]
        psys = [zone for zone in zones if _text(zone / "name") == "psys"]
        self._counters = [_RaplZone(zone) for zone in psys or zones]
        if not self._counters:
            raise MeterUnavailableError("RAPL: no counter on this machine")

    def joules(self) -> float:
        """Return the joules since the meter was made."""
        return sum(counter.joules() for counter in self._counters)


class _RaplZone:
    """One counter, which starts again from 0 after `max_energy_range_uj`."""

    def __init__(self, zone: Path) -> None:
        self._file = zone / "energy_uj"
        try:
            self._last = int(self._file.read_text())
            self._range = int((zone / "max_energy_range_uj").read_text())
        except (OSError, ValueError) as error:
            raise MeterUnavailableError(f"RAPL: {error}") from error
        self._total = 0

    def joules(self) -> float:
        try:
            now = int(self._file.read_text())
        except (OSError, ValueError) as error:
            raise MeterUnavailableError(f"RAPL: {error}") from error
        self._total += now - self._last if now >= self._last else now + self._range - self._last
        self._last = now
        return self._total / 1e6


class CpuModel:
    """Stated watts: idle for all cores and all memory, and more for each CPU second that the hub used.

    J = s × (cores × W_idle + GiB × W_memory) + cpu_s × (W_max − W_idle).
    """

    basis = "modelled"
    by = "cpu-model"

    def __init__(
        self,
        model: PowerModel,
        cpu_seconds: Callable[[], float],
        *,
        cores: int | None = None,
        memory_gib: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        cores = cores or os.cpu_count() or 1
        self._idle_watts = (
            cores * model.cpu_watts_per_core_idle
            + (machine_memory_gib() if memory_gib is None else memory_gib) * model.memory_watts_per_gib
        )
        self._busy_watts = model.cpu_watts_per_core_max - model.cpu_watts_per_core_idle
        self._cpu_seconds = cpu_seconds
        self._clock = clock
        self._start = (clock(), cpu_seconds())
        self._used = 0.0

    def joules(self) -> float:
        """Return the joules since the meter was made."""
        self._used = max(self._used, self._cpu_seconds() - self._start[1])
        return (self._clock() - self._start[0]) * self._idle_watts + self._used * self._busy_watts


class GpuModel:
    """GPUs that are there but cannot be metered, at their stated maximum: an upper bound."""

    basis = "modelled"
    by = "gpu-model"

    def __init__(self, model: PowerModel, gpus: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._watts = gpus * model.gpu_watts_max
        self._clock = clock
        self._start = clock()

    def joules(self) -> float:
        """Return the joules since the meter was made."""
        return (self._clock() - self._start) * self._watts


class Channel:
    """A meter with the model that stands in for it whenever it cannot be read."""

    def __init__(self, meter: Meter | None, model: Meter) -> None:
        self._meter = meter
        self._model = model
        self._model_last = model.joules()
        self._last = self._read()

    def step(self) -> tuple[float, str, str]:
        """Return joules since the last step, their basis, and by what.

        A reading that follows a failed one would count twice what was modelled, so it only sets the mark.
        """
        modelled, self._model_last = self._model_last, self._model.joules()
        before, self._last = self._last, self._read()
        if self._meter is not None and before is not None and self._last is not None:
            return self._last - before, self._meter.basis, self._meter.by
        return self._model_last - modelled, self._model.basis, self._model.by

    def _read(self) -> float | None:
        try:
            return None if self._meter is None else self._meter.joules()
        except MeterUnavailableError:
            return None


def channels(
    model: PowerModel, cpu_seconds: Callable[[], float], guest: bool = False
) -> tuple[Channel, Channel]:
    """Return the channels of GPUs and of the rest. `guest`: another node on this machine meters it."""
    if not guest:
        return gpu_channel(model), cpu_channel(model, cpu_seconds)
    return Channel(None, NoGpu()), Channel(None, _guest_model(model, cpu_seconds))


def _guest_model(model: PowerModel, cpu_seconds: Callable[[], float]) -> Meter:
    """Return what a further node on the machine adds: nothing to a meter, its own load to the model."""
    try:
        Rapl()
    except MeterUnavailableError:
        busy = model.cpu_watts_per_core_max - model.cpu_watts_per_core_idle
        load = replace(
            model, cpu_watts_per_core_idle=0.0, cpu_watts_per_core_max=busy, memory_watts_per_gib=0.0
        )
        return CpuModel(load, cpu_seconds)
    return NoGpu()


def gpu_channel(model: PowerModel, devices: Path = Path("/dev")) -> Channel:
    """Return NVML, else the model of the GPUs whose device files are there."""
    gpus = len([d for d in devices.glob("nvidia*") if d.name.removeprefix("nvidia").isdigit()])
    fallback: Meter = GpuModel(model, gpus) if gpus else NoGpu()
    try:
        return Channel(Nvml(), fallback)
    except MeterUnavailableError:
        return Channel(None, fallback)


def cpu_channel(model: PowerModel, cpu_seconds: Callable[[], float]) -> Channel:
    """Return RAPL, else the model of cores and memory."""
    fallback = CpuModel(model, cpu_seconds)
    try:
        return Channel(Rapl(), fallback)
    except MeterUnavailableError:
        return Channel(None, fallback)


def machine_memory_gib() -> float:
    """Return the machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
