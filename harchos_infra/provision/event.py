"""What Terraform says while it works: one line of its `-json` output."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class TerraformEvent:
    """One event. `type` is Terraform's own: `apply_start`, `apply_complete`, `diagnostic`, `log`…"""

    type: str
    message: str
    level: str = "info"
    """`info`, `warn` or `error`."""
    address: str | None = None
    """Resource the event is about."""
    action: str | None = None
    """`create`, `update`, `delete`…"""
    elapsed_s: float | None = None
    raw: dict[str, Any] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        return self.message

    @classmethod
    def parse(cls, line: str) -> TerraformEvent:
        """Read one line; a line that is not JSON is a `log` event with that text."""
        try:
            raw = json.loads(line)
        except ValueError:
            raw = None
        if not isinstance(raw, dict):
            return cls("log", line.rstrip("\n"))
        subject = raw.get("hook") or raw.get("change") or {}
        diagnostic = raw.get("diagnostic") or {}
        return cls(
            type=raw.get("type", "log"),
            message=raw.get("@message", "").strip(),
            level=raw.get("@level", "info"),
            address=diagnostic.get("address") or subject.get("resource", {}).get("addr"),
            action=subject.get("action"),
            elapsed_s=subject.get("elapsed_seconds"),
            raw=raw,
        )


OnEvent = Callable[[TerraformEvent], None]


def ignore(event: TerraformEvent) -> None:
    """Take no notice of an event."""
