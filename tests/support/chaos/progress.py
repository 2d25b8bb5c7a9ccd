"""How far the runs of a home are: which phases they have entered, and when."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

PHASES = ("wait", "provision", "run", "destroy", "collect", "settle", "done")
ENDING = ("collect", "settle", "done")


class Progress:
    """The phases of all runs of a home, as their rows in the ledger were seen.

    `waits` counts how often each run began to wait.
    """

    def __init__(self, begun: float) -> None:
        self.waits: Counter[str] = Counter()
        self._visits: Counter[str] = Counter()
        self._phases: dict[str, str] = {}
        self._entered: dict[tuple[str, int], float] = {}
        self._enter("", begun)

    def __str__(self) -> str:
        return ", ".join(self._phases.values()) or "the beginning"

    def see(self, rows: Iterable[Mapping[str, Any]], now: float) -> None:
        """Take note of the runs as they are now."""
        for row in rows:
            before = self._phases.get(row["id"], "")
            if row["phase"] != before:
                self._phases[row["id"]] = row["phase"]
                for phase in _passed(before, row["phase"]):
                    self._enter(phase, now)
                    self.waits[row["id"]] += phase == "wait"

    def entered(self, phase: str, nth: int) -> float | None:
        """Return when a phase was entered for the `nth` time, by any run; None while it was not."""
        return self._entered.get((phase, nth))

    def has_begun(self) -> bool:
        """Return whether there is a run."""
        return bool(self._phases)

    def is_waiting(self) -> bool:
        """Return whether no run has a hub: each waits, or has ended."""
        return all(phase in ("wait", "done") for phase in self._phases.values())

    def is_ending(self, run: str) -> bool:
        """Return whether a run needs no hub any more."""
        return self._phases.get(run) in ENDING

    def has_ended(self) -> bool:
        """Return whether there are runs, and all of them have ended."""
        return bool(self._phases) and all(phase == "done" for phase in self._phases.values())

    def _enter(self, phase: str, now: float) -> None:
        self._visits[phase] += 1
        self._entered[phase, self._visits[phase]] = now


def _passed(before: str, after: str) -> list[str]:
    """Return the phases entered since, `after` last: a quick one may be over before it is seen."""
    first = PHASES.index(before) + 1 if before else 0
    last = PHASES.index(after)
    return list(PHASES[first : last + 1] if first <= last else PHASES[: last + 1])
