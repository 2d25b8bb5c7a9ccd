"""What goes wrong: kinds of faults, when each strikes, and a plan of them from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

from tests.support.chaos.progress import PHASES
from tests.support.chaos.way import Way

BLOCKAGES = (
    "clock of the driver",
    "clock of the hub",
    "clock of the machine",
    "database down",
    "disk full",
    "ledger locked",
    "ledger locked for a minute",
    "mailbox unreachable",
    "state locked",
)
"""Faults that last for a while; clocks may stay wrong."""
LOSSES = (
    "checkpoint torn",
    "clock of the hub",
    "container engine",
    "disk full",
    "guard",
    "hub",
    "reboot",
    "worker",
)
"""Faults that may take a hub."""
CLOCKS = ("clock of the driver", "clock of the hub", "clock of the machine")
WHERE: dict[str, tuple[str, ...]] = {
    "driver": ("", *PHASES[:5]),
    "race": ("", *PHASES[:5]),
    "guard": ("run", "run", "destroy"),
    "worker": ("run", "run", "destroy"),
    "hub": ("provision", "run", "run", "destroy"),
    "job": ("run",),
    "terraform": ("provision", "destroy"),
    "reboot": ("provision", "run", "run", "destroy", "wait"),
    "ledger locked": ("", *PHASES[:5]),
    "ledger locked for a minute": ("run",),
    "mailbox unreachable": ("wait", "provision", "run", "run", "destroy"),
    "checkpoint torn": ("run",),
    "state lost": ("provision", "run", "destroy"),
    "state locked": ("provision", "run", "destroy"),
    "container engine": ("run",),
    "database down": ("", *PHASES[:5]),
    "disk full": ("", *PHASES[:5]),
    "clock of the driver": PHASES[1:5],
    "clock of the hub": ("run",),
    "clock of the machine": PHASES[1:5],
}
"""By kind, the phases in which it may strike; an empty one is the beginning of the command.

No clock jumps before the first hub is made: by one that is late, the run would rightly wait."""
RARE = ("ledger locked for a minute",)
"""Kinds that are slow: never more than one of them in a run, and in few."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `delay_s` after a phase was entered for the `nth` time; a blockage lasts `lasts_s`.

    `shift_s` is how far a clock jumps.
    """

    kind: str
    phase: str
    nth: int
    delay_s: float
    lasts_s: float
    shift_s: int = 0

    def __str__(self) -> str:
        lasts = f" for {self.lasts_s:.1f} s" if self.kind in BLOCKAGES and self.lasts_s < 1e6 else ""
        shifted = f" by {self.shift_s:+d} s" if self.shift_s else ""
        when = f"{self.delay_s:.1f} s into {self.phase or 'the beginning'} {self.nth}"
        return f"{self.kind}{shifted}{lasts}, {when}"


def draw(chance: random.Random, first: str, way: Way) -> list[Fault]:
    """Return one to four faults, one of them of the kind `first`, in the first segments of the first runs."""
    common = [kind for kind in way.kinds if kind not in RARE]
    kinds = [first, *chance.choices(common, k=chance.choice((0, 1, 1, 2, 3)))]
    lost = [kind for kind in kinds if kind in LOSSES]
    kinds = [kind for kind in kinds if kind not in LOSSES] + lost[: way.most_losses]
    clocks = [kind for kind in kinds if kind in CLOCKS]
    kinds = [kind for kind in kinds if kind not in CLOCKS] + clocks[:1]
    return [_fault(chance, kind, chance.choice((1, 1, 1, way.segments * way.runs))) for kind in kinds]


def _fault(chance: random.Random, kind: str, nth: int) -> Fault:
    phase = chance.choice(WHERE[kind])
    longest_s = {"": 3.0, "run": 7.0, "provision": 2.0, "wait": 0.8, "collect": 0.03}.get(phase, 0.2)
    lasts_s, shift_s = chance.uniform(1, 7), 0
    if kind == "ledger locked for a minute":
        lasts_s = chance.uniform(66, 72)
    if kind in CLOCKS:
        shift_s = chance.choice((-1, 1)) * chance.choice((90, 600, 3600, 6 * 3600))
        if kind != "clock of the driver":  # one that differs from its hubs' for good makes none that lives
            lasts_s = chance.choice((lasts_s, 1e6))
    return Fault(kind, phase, nth if phase else 1, chance.uniform(0, longest_s), lasts_s, shift_s)
