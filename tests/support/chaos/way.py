"""Ways of carrying a workload out: what is applied, who drives it, what may strike, what must come of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support.chaos.judge_nodes import judge_nodes
from tests.support.chaos.judge_queue import judge_queue
from tests.support.chaos.judge_training import judge_training
from tests.support.chaos.result import Result

SPEED = "2700"
_ANYWHERE = (
    "clock of the hub",
    "driver",
    "guard",
    "hub",
    "job",
    "mailbox unreachable",
    "race",
    "reboot",
    "state locked",
    "state lost",
    "terraform",
    "worker",
)
"""Kinds of faults that every way meets."""
_CLOCKS = ("clock of the driver", "clock of the machine")
"""Left alone in rehearsals: by their clock a minute is two days, and the deadline over."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a workload is carried out.

    `runs`: how many may be begun; of each one hub lives at a time. `most_losses`: after more lost hubs
    it would rightly fail.
    """

    name: str
    applied: tuple[str, ...]
    kinds: tuple[str, ...]
    judge: Callable[[Result, Path, Path], None]
    """Tells a result what is wrong with what was put out: the result, the home, the folder of traces."""
    controlled: bool | None = False
    """Whether a controller drives it; None: as it happens."""
    controllers: int = 1
    engine: str = "none"
    is_on_files: bool = True
    segments: int = 1
    runs: int = 1
    most_losses: int = 4

    @property
    def is_plan(self) -> bool:
        """Whether a plan file is applied: a second `apply` of it never begins another run."""
        return self.applied[0].endswith(".json")


_REHEARSED = ("plan.json", "--rehearse", "--speed", SPEED)

WAYS = (
    Way(
        "rehearsal",
        _REHEARSED,
        (*_ANYWHERE, "checkpoint torn", "disk full", "ledger locked"),
        judge_training,
        segments=2,
        most_losses=1,  # on a clock that runs fast a second one is past the deadline
    ),
    Way(
        "controller",
        _REHEARSED,
        (*_ANYWHERE, "checkpoint torn", "ledger locked"),
        judge_training,
        controlled=True,
        segments=2,
        most_losses=1,
    ),
    Way(
        "local",
        ("job.yaml",),
        (
            *_ANYWHERE,
            *_CLOCKS,
            "checkpoint torn",
            "disk full",
            "ledger locked",
            "ledger locked for a minute",
        ),
        judge_training,
    ),
    Way(
        "container",
        ("job.yaml",),
        (*_ANYWHERE, *_CLOCKS, "checkpoint torn", "container engine", "ledger locked"),
        judge_training,
        engine="podman",
    ),
    Way(
        "postgresql",
        _REHEARSED,
        (*_ANYWHERE, "checkpoint torn", "database down"),
        judge_training,
        controlled=True,
        controllers=2,
        is_on_files=False,
        segments=2,
        most_losses=1,
    ),
    Way(
        "queue",
        ("items.yaml",),
        (*_ANYWHERE, *_CLOCKS, "disk full", "ledger locked"),
        judge_queue,
        controlled=None,
        runs=2,
        most_losses=2,  # an item is failed that is lost with three hubs
    ),
    Way(
        "nodes",
        ("pair.yaml",),
        (*_ANYWHERE, *_CLOCKS, "checkpoint torn", "disk full", "ledger locked"),
        judge_nodes,
    ),
)
