"""Round-trip times between regions, as measured in 2022."""

from __future__ import annotations

from functools import cache

from harchos_infra.catalog.region import Region
from harchos_infra.catalog.table import read_matrix


def latency_ms(source: Region, target: Region) -> float | None:
    """Return the measured round trip in milliseconds; None where nobody measured that pair.

    0 within a region. Regions newer than 2022 have no measurement.
    """
    return 0.0 if source.id == target.id else _measured().get((source.id, target.id))


@cache
def _measured() -> dict[tuple[str, str], float]:
    return read_matrix("latency.csv")
