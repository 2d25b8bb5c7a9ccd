"""A user who presses Ctrl-C, and others who ask this process to end: what they want of the runs it drives."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Literal

Choice = Literal["detach", "cancel", "go on"]
"""What a user who presses Ctrl-C wants."""
Wish = Literal["detach", "stop", "hurry"]
"""What comes of it, and of other signals."""
Choose = Callable[[Callable[[], bool]], Choice]


class Interrupts:
    """Signals that ask this process to end; `stir` is set when one comes."""

    def __init__(self, stir: threading.Event) -> None:
        self.count = 0
        self.heard = 0
        """How many of them have been acted on."""
        self.is_ctrl_c = False
        """Whether the last one came from the keyboard."""
        self._stir = stir

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        """Hear one, as a signal handler."""
        self.count += 1
        self.is_ctrl_c = number == signal.SIGINT
        self._stir.set()

    def wish(self, choose: Choose) -> Wish | None:
        """Return what is wanted since the last call; None: nothing new."""
        if self.count <= self.heard:
            return None
        if self.heard == 0 and self.is_ctrl_c:
            choice = choose(lambda: self.count > 1)
            if choice == "detach":
                return "detach"
            self.count = 0 if choice == "go on" else 1
            if choice == "go on":
                return None
        self.heard = self.count
        return "hurry" if self.heard > 1 else "stop"


@contextmanager
def heard_interrupts(stir: threading.Event) -> Iterator[Interrupts]:
    """Hear of SIGINT, SIGTERM and SIGHUP, in place of ending by them; what came in an outer one counts."""
    interrupts = Interrupts(stir)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, interrupts) for number in numbers}
    outer = before[signal.SIGINT]
    if isinstance(outer, Interrupts):
        interrupts.count += outer.count
        interrupts.is_ctrl_c |= outer.is_ctrl_c
    try:
        yield interrupts
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
