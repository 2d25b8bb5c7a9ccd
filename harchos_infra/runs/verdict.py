"""Why a hub is to be taken down: its job ended, its segment is over, or it was lost."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harchos_infra.hub.runner import ENGINE_LOST
from harchos_infra.hub.ttl import CLOCK_SET
from harchos_infra.runs.job import SERVICE_TYPES

SPOT = "spot notice"
"""How the reason of an agent begins that was told to give its machine back."""

NOT_THE_JOB = re.compile(rf"the agent's (guard|worker) was killed|{ENGINE_LOST}|node [\d, ]+ was lost")
"""How the reason begins of a hub whose job was well, and whose agents or engine were not left alive."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a hub ended.

    `outcome` is the run's, None where the run goes on elsewhere or later: as its schedule has it, or because
    of an `interruption` (`spot`: the machine was taken back; `lost`: it fell silent, or its agent was killed;
    `refused`: it could not be made).
    """

    outcome: str | None
    reason: str
    interruption: str | None = None


def of_status(
    run: Mapping[Any, Any], status: Mapping[str, Any], *, asked: str | None, resumes: bool
) -> Verdict:
    """Return the verdict of a hub whose agent has written its last status.

    `asked` is what the controller wanted of it (`control.json`), `resumes` whether the job goes on from
    checkpoints.
    """
    phase, reason = status["phase"], status.get("reason") or ""
    if phase == "expired" and resumes and reason.startswith(CLOCK_SET):
        return lost(reason, resumes=True)
    if phase == "expired" and run["type"] in SERVICE_TYPES:
        return Verdict("stopped", "the service reached its TTL")
    if phase == "stopped" and run["desired"] == "run" and resumes:
        if asked == "checkpoint":
            return Verdict(None, reason)
        if reason.startswith(SPOT):
            return Verdict(None, reason, "spot")
    if phase == "failed" and resumes and NOT_THE_JOB.match(reason):
        return lost(reason, resumes=True)
    if phase == "succeeded" and not reason:
        reason = "the job exited 0"
    return Verdict(phase, reason)


def lost(reason: str, *, resumes: bool) -> Verdict:
    """Return the verdict of a hub that does not answer any more."""
    return Verdict(None, reason, "lost") if resumes else Verdict("failed", reason)
