"""How fast a rehearsal brings work from one stand-in to the next: as between the regions they stand for."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from harchos_infra.runs.catalog import current_catalog


class Link:
    """A link of so many Gbit/s, by a clock that runs `speed` times as fast as real time."""

    def __init__(self, gbps: float, speed: float) -> None:
        self.gbps = gbps
        self._bytes_s = gbps * 1e9 / 8 * speed
        self._free_at = 0.0

    def carry(self, count: int) -> None:
        """Return when the link would have carried `count` bytes, after all that went before."""
        now = time.monotonic()
        self._free_at = max(self._free_at, now) + count / self._bytes_s
        time.sleep(self._free_at - now)


def link(run: Mapping[Any, Any], here: Mapping[str, Any], there: Mapping[str, Any]) -> Link | None:
    """Return the link between two places of a rehearsal; None where nobody measured one, or none is needed.

    Outside rehearsals the stores themselves take their time.
    """
    if not run["rehearsal"]:
        return None
    catalog = current_catalog()
    source, target = (catalog.regions.get((place["provider"], place["region"])) for place in (here, there))
    if source is None or target is None or source.id == target.id:
        return None
    gbps = catalog.throughput_gbps(source, target)
    return None if gbps is None else Link(gbps, run["speed"])
