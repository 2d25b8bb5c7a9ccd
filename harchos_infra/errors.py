"""The errors a user sees: what happened, where, and what to do next."""

from __future__ import annotations


class HarchosError(Exception):
    """An expected failure, shown as one message and never as a traceback.

    `what` says what happened (with where, if a place is known); `hint` says what to do next;
    `exit_code` is the documented exit code of the command that meets it.
    """

    exit_code: int = 1

    def __init__(self, what: str, *, hint: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint


class InfeasibleError(HarchosError):
    """No candidate satisfies the constraints, or a policy refuses (exit code 3)."""

    exit_code = 3
