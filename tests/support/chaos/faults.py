"""What goes wrong: kinds of faults, when each strikes, and a plan of them from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass

PHASES = ("wait", "provision", "run", "destroy", "collect", "settle", "done")
BLOCKAGES = ("ledger locked", "mailbox unreachable", "state locked")
"""Faults that last for a while."""
LOSSES = ("checkpoint torn", "guard", "reboot", "worker")
"""Faults that take a hub."""
WHERE: dict[str, tuple[str, ...]] = {
    "driver": ("", *PHASES[:5]),
    "race": ("", *PHASES[:5]),
    "guard": ("run", "run", "destroy"),
    "worker": ("run", "run", "destroy"),
    "job": ("run",),
    "terraform": ("provision", "destroy"),
    "reboot": ("provision", "run", "run", "destroy", "wait"),
    "ledger locked": ("", *PHASES[:5]),
    "mailbox unreachable": ("wait", "provision", "run", "run", "destroy"),
    "checkpoint torn": ("run",),
    "state lost": ("provision", "run", "destroy"),
    "state locked": ("provision", "run", "destroy"),
}
"""By kind, the phases in which it may strike; an empty one is the beginning of the command."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `delay_s` after a phase was entered for the `nth` time; a blockage lasts `lasts_s`."""

    kind: str
    phase: str
    nth: int
    delay_s: float
    lasts_s: float

    def __str__(self) -> str:
        lasts = f" for {self.lasts_s:.1f} s" if self.kind in BLOCKAGES else ""
        return f"{self.kind}{lasts}, {self.delay_s:.1f} s into {self.phase or 'the beginning'} {self.nth}"


def draw(chance: random.Random, first: str, *, segments: int) -> list[Fault]:
    """Return one to four faults, one of them of the kind `first`, in the first segments of a run."""
    kinds = [first, *chance.choices(sorted(WHERE), k=chance.choice((0, 1, 1, 2, 3)))]
    if segments > 1:  # on a clock that runs fast a second one is past the deadline
        lost = [kind for kind in kinds if kind in LOSSES]
        kinds = [kind for kind in kinds if kind not in LOSSES] + lost[:1]
    return [_fault(chance, kind, chance.choice((1, 1, 1, segments))) for kind in kinds]


def _fault(chance: random.Random, kind: str, nth: int) -> Fault:
    phase = chance.choice(WHERE[kind])
    longest_s = {"": 3.0, "run": 7.0, "provision": 2.0}.get(phase, 0.8)
    return Fault(kind, phase, nth if phase else 1, chance.uniform(0, longest_s), chance.uniform(1, 7))
