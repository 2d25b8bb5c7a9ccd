"""What runs of a workload were measured to take: in the next plan it stands in place of the model.

A figure is the mean of n runs. One run is enough to replace a model or an estimate, which nobody has seen
come true; its spread is then not known, and the plan says so. The number of runs is always shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from math import ceil, fsum, sqrt
from typing import Any, NamedTuple


@dataclass(frozen=True, slots=True)
class Figure:
    """A quantity measured in `n` runs: mean, sample standard deviation (None for one run), extremes."""

    n: int
    mean: float
    deviation: float | None
    least: float
    most: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Figure | None:
        """Return the figure of some values; None of none."""
        found = sorted(values)
        n = len(found)
        if not n:
            return None
        mean = fsum(found) / n
        deviation = sqrt(fsum((v - mean) ** 2 for v in found) / (n - 1)) if n > 1 else None
        return cls(n, mean, deviation, found[0], found[-1])

    def words(self, unit: str) -> str:
        """Return `measured, n=3, +-4 W`."""
        spread = "spread unknown" if self.deviation is None else f"+-{self.deviation:.3g} {unit}"
        return f"measured, n={self.n}, {spread}"


class Machine(NamedTuple):
    """What is rented, wherever and on whichever market."""

    provider: str
    instance_type: str


@dataclass(frozen=True, slots=True)
class Measures:
    """What runs of one work took on one machine; None: not measured.

    `watts` is the mean draw of a node over the hub's metered life, before PUE, and `gpu_watts` that of its
    GPUs alone, from runs whose host could only be modelled; `run_s` from the job's start until its outputs
    were stored; `start_s` from the provisioning of the hub to the job's start.
    """

    watts: Figure | None = None
    gpu_watts: Figure | None = None
    run_s: Figure | None = None
    start_s: Figure | None = None


NOTHING = Measures()


class Key(NamedTuple):
    """A workload by name and work (`workload.work.work_sha256`) on a machine."""

    workload: str
    work: str
    machine: Machine


@dataclass(frozen=True)
class Calibration:
    """Every measure there is, as of one moment."""

    entries: Mapping[Key, Measures] = field(default_factory=dict)

    def of(self, workload: str, work: str) -> Measured:
        """Return what was measured of one work, by machine."""
        return Measured(
            {
                key.machine: measures
                for key, measures in sorted(self.entries.items(), key=lambda entry: entry[0])
                if (key.workload, key.work) == (workload, work)
            }
        )


@dataclass(frozen=True)
class Measured:
    """What was measured of the workload that is planned, by machine."""

    machines: Mapping[Machine, Measures] = field(default_factory=dict)

    def on(self, provider: str, instance_type: str) -> Measures:
        """Return what was measured on a machine."""
        return self.machines.get(Machine(provider, instance_type), NOTHING)

    def reserved_s(
        self, machine: Machine, estimated_s: int | None, *, throughput: float, service: bool
    ) -> int | None:
        """Return the whole seconds for which a machine is taken, None where nobody knows.

        Start-up and run time where they are measured, else the estimate for the run and nothing for the
        start-up. A service is up for its `ttl`, and the start-up is within it. `throughput` is that of the
        power mode, 1 without a limit, as runs are measured.
        """
        measures = self.on(*machine)
        run_s = estimated_s if service or measures.run_s is None else measures.run_s.mean / throughput
        if run_s is None or service:
            return estimated_s
        start_s = 0.0 if measures.start_s is None else measures.start_s.mean
        return max(ceil(run_s + start_s), 1)

    def describe(self) -> dict[str, Any]:
        """Return the plan's `inputs.measured`: every figure, and the sha256 of them all."""
        machines = [
            {
                "provider": machine.provider,
                "instanceType": machine.instance_type,
                "powerWatts": measures.watts,
                "gpuPowerWatts": measures.gpu_watts,
                "runTimeS": measures.run_s,
                "startUpS": measures.start_s,
            }
            for machine, measures in self.machines.items()
        ]
        return {"machines": machines, "fingerprint": sha256(repr(machines).encode()).hexdigest()}
