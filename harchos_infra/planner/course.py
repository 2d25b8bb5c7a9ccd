"""A schedule of several legs, worked out: what it takes, and where each of its legs is priced.

A leg rents `nodes` machines of a candidate from `start_s` to `end_s`. Where the job was paused before it, its
first `lead_s` seconds are for restarting; where it is paused afterwards, its last `tail_s` are for saving.
Legs that follow on each other without a pause change the node count only. A change of region is a move.
"""

from __future__ import annotations

from typing import NamedTuple


class Leg(NamedTuple):
    """Machines of one candidate for a time span, in seconds from the horizon's beginning."""

    candidate: int
    start_s: int
    end_s: int
    nodes: int
    lead_s: int = 0
    tail_s: int = 0


class Course(NamedTuple):
    """Legs in order of time."""

    legs: tuple[Leg, ...]
