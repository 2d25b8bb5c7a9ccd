"""A cloud's own listing over the replay: what exists and is a hub's, and its deletion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from harchos_infra.clouds.cloud import Resource
from harchos_infra.errors import HarchosError
from support.schema_replay.world import Existing, World

_TAGS = ("harchos:hub", "harchos-hub")
_OF_ITS_OWN = frozenset({"id", "arn", "self_link", "name", "email", "tags", "tags_all", "labels"})
"""Attributes that say what a resource is, not what it needs."""


class ReplayedCloud:
    """Lists by marks: the tag or label; where a type has none, the hub's name in its own, or its parent.

    `delete` refuses what another resource still needs, as clouds do.
    """

    def __init__(self, world: World, name: str = "replay") -> None:
        self.name = name
        self.refuses: set[str] = set()
        """Types that this cloud will not delete."""
        self._world = world

    def identity(self) -> str:
        return "replayed account"

    def list(self, *, run: str | None = None, hub: str | None = None) -> list[Resource]:
        assert hub
        existing = self._world.existing
        ours = [each for each in existing if _is_marked(each, hub)]
        while more := [e for e in existing if e not in ours and any(_needs(e, one) for one in ours)]:
            ours += more
        latest_first = sorted(ours, key=existing.index, reverse=True)
        return [Resource(self.name, e.type, e.id, run or "", hub, None, "", None) for e in latest_first]

    def delete(self, resource: Resource) -> None:
        if resource.kind in self.refuses:
            raise HarchosError(f"AccessDenied: {resource.kind} {resource.id} may not be deleted")
        existing = {(each.type, each.id): each for each in self._world.existing}
        doomed = existing.pop((resource.kind, resource.id), None)
        if doomed is None:
            return
        if users := [each.id for each in existing.values() if _needs(each, doomed)]:
            raise HarchosError(f"DependencyViolation: {resource.id} is used by {', '.join(users)}")
        self._world.remove(resource.kind, resource.id)


def _is_marked(resource: Existing, hub: str) -> bool:
    if any(resource.tags.get(tag) == hub for tag in _TAGS):
        return True
    return any(hub in text for text in _texts(resource.values))


def _needs(user: Existing, used: Existing) -> bool:
    """Return whether a resource names another one: by its id, its address, or the email of an account."""
    names = [used.id, *([used.values["email"]] if used.values.get("email") else [])]
    return any(
        text == name or text.endswith((f"/{name}", f":{name}"))
        for text in _texts(user.values, but=_OF_ITS_OWN)
        for name in names
    )


def _texts(value: Any, *, but: frozenset[str] = frozenset()) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, each in value.items():
            if name not in but:
                yield from _texts(each, but=but)
    elif isinstance(value, list):
        for each in value:
            yield from _texts(each, but=but)
