"""What is made to go wrong, and at which call."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Fault:
    """What happens at a call instead of its success.

    `error` is the diagnostic's summary as the real provider words it. With neither an error nor a crash, the
    call succeeds after `delay_s`.
    """

    error: str | None = None
    delay_s: float = 0.0
    until: threading.Event | None = None
    """What the call waits for besides; half a minute at most."""
    crash: bool = False
    """Terraform is killed (SIGKILL) before it gets an answer."""
    leaves: Literal["nothing", "tainted", "orphan"] = "nothing"
    """Of a create that fails: nothing; a resource that Terraform is told of; one that it never hears of."""
    times: int | None = None
    """How many calls it meets; None: all."""

    @property
    def fails(self) -> bool:
        """Whether the call does not succeed."""
        return bool(self.error) or self.crash


Faults = dict[str, Fault]
"""By `type:operation`: `aws_instance:create`, `aws_ami:data`, `aws:configure` (README.md has all)."""


def parse_fault(text: str) -> tuple[str, Fault]:
    """Read `aws_instance:create=TEXT`, where TEXT is an error, `crash`, or `delay:SECONDS`.

    Raises ValueError for anything else.
    """
    where, equals, what = text.partition("=")
    if not equals or ":" not in where:
        raise ValueError(f"{text!r} is not TYPE:OPERATION=ERROR")
    if what == "crash":
        return where, Fault(crash=True)
    if what.startswith("delay:"):
        return where, Fault(delay_s=float(what.removeprefix("delay:")))
    return where, Fault(error=what)
