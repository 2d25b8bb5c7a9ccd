"""How a job is run: the protocol that the process runner and the container runner share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


class RunnerError(Exception):
    """The job cannot be started, or its runner failed; says why."""


ENGINE_LOST = "the container engine lost the job"
"""How the reason begins of a job that may have been well when the engine could tell no more of it."""


class JobLostError(RunnerError):
    """How the job ended, or whether it has, cannot be told any more; it may be started again."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where the job finds its directories, as the job sees them, and the environment it starts from."""

    work: str
    outputs: str
    checkpoints: str
    environment: dict[str, str]


class Runner(Protocol):
    """Runs one attempt of the job at a time, in whatever contains it."""

    name: str
    """`process`, `podman` or `docker`, as in the status."""
    detail: str
    """Said to the user: why this runner, and which image."""
    places: Places

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> int:
        """Start the job; return the descriptor of its merged output. Raises RunnerError."""

    def poll(self) -> int | None:
        """Return the job's exit code (128 + n for a signal), or None while it runs."""

    def terminate(self) -> None:
        """Ask the job to end (SIGTERM)."""

    def kill(self) -> None:
        """End everything the job started, whatever it does about it."""

    def execute(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        timeout_s: float,
        read: Callable[[int], object],
    ) -> int:
        """Run another command beside the job, its output going to `read`; return its exit code."""
