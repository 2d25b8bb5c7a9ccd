"""What the replayed clouds hold, and every call that was made to them."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from support.schema_replay.parts import is_part_of
from support.schema_replay.schemas import Json


@dataclass(frozen=True)
class Call:
    """One call of Terraform to a provider."""

    operation: str
    """`configure`, `data`, `read`, `create`, `update`, `delete`."""
    type: str
    """Resource type; of `configure`, the provider's name."""
    values: Json
    """What was asked for: without nulls and empty blocks. Of a delete: what there was."""
    id: str | None = None
    """Of the resource; None where there is none (yet)."""
    error: str | None = None
    """How it failed; None: it did not."""
    crashed: bool = False
    at: float = field(default_factory=time.time)
    """Unix seconds."""

    @property
    def tags(self) -> dict[str, str]:
        """Tags or labels that were asked for."""
        return tags_of(self.values)


@dataclass(frozen=True)
class Existing:
    """A resource that exists."""

    type: str
    id: str
    values: Json

    @property
    def tags(self) -> dict[str, str]:
        """Its tags or labels, those of the provider's configuration included."""
        return tags_of(self.values)


def tags_of(values: Json) -> dict[str, str]:
    """Return tags (AWS, Azure) or labels (Google), whichever a resource has."""
    names = ("tags_all", "tags", "effective_labels", "labels")
    return next((values[name] for name in names if isinstance(values.get(name), dict)), {})


class World:
    """Resources by id, shared by the providers of one replay. Safe to use from several threads."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._existing: dict[tuple[str, str], Existing] = {}
        self._gone: set[tuple[str, str]] = set()
        self._lock = threading.Lock()
        self._serial = 0

    @property
    def existing(self) -> list[Existing]:
        """What exists now, in the order in which it was made."""
        with self._lock:
            return list(self._existing.values())

    def done(self, operation: str) -> list[Call]:
        """Return the calls of one operation that succeeded, in their order."""
        return [c for c in list(self.calls) if c.operation == operation and not c.error and not c.crashed]

    def note(self, call: Call) -> None:
        """Write a call to the log."""
        with self._lock:
            self.calls.append(call)

    def serial(self) -> int:
        """Return a number that was not returned before."""
        with self._lock:
            self._serial += 1
            return self._serial

    def holds(self, kind: str, identifier: str) -> bool:
        """Return whether a resource exists."""
        with self._lock:
            return (kind, identifier) in self._existing

    def is_gone(self, kind: str, identifier: str) -> bool:
        """Return whether a resource has existed here and has been deleted since."""
        with self._lock:
            return (kind, identifier) in self._gone

    def put(self, kind: str, identifier: str, values: Json) -> None:
        """Make a resource, or change it."""
        with self._lock:
            self._gone.discard((kind, identifier))
            self._existing[kind, identifier] = Existing(kind, identifier, values)

    def remove(self, kind: str, identifier: str) -> None:
        """Delete a resource with its parts, by Terraform or behind its back; one that is gone stays so."""
        with self._lock:
            whole = self._existing.pop((kind, identifier), None)
            self._gone.add((kind, identifier))
            for key, each in list(self._existing.items()):
                if whole and is_part_of(each.type, each.values, kind, whole.values):
                    del self._existing[key]
                    self._gone.add(key)


def without_nulls(value: Any) -> Any:
    """Return a value without nulls and empty collections, as one would write it."""
    if isinstance(value, dict):
        pruned = {key: without_nulls(each) for key, each in value.items()}
        return {key: each for key, each in pruned.items() if each not in (None, [], {})}
    if isinstance(value, list):
        return [without_nulls(each) for each in value]
    return value
