"""`harchos controller`: one process that drives many runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harchos_infra.cli.output import note

if TYPE_CHECKING:
    from types import FrameType


def controller() -> None:
    """Drive every run that is detached, or that a dead process left, until this one is told to end.

    Ctrl-C and SIGTERM end it: its runs are given up, and no hub is touched. `docs/controller.md` has more.
    """
    import signal

    from harchos_infra.provision.binary import find_binary
    from harchos_infra.runs.clock import RealClock
    from harchos_infra.runs.controller import Controller
    from harchos_infra.runs.ledger import Ledger
    from harchos_infra.runs.notify import Notifier
    from harchos_infra.runs.owner import new_owner

    find_binary()
    ledger = Ledger.open()
    owner = new_owner()
    runs = Controller(ledger, owner, RealClock(), _print)

    def end(_signal: int, _frame: FrameType | None) -> None:
        runs.end()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    note(f"controller on {ledger.database.place}; Ctrl-C ends it, and leaves every hub as it is")
    with Notifier.of_settings(ledger, owner, _print):
        runs.run()
    note("controller ended; its runs are free")


def _print(run: str, kind: str, detail: str) -> None:
    from datetime import UTC, datetime

    print(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {run} {kind}: {' '.join(detail.split())}", flush=True)
