"""The rejected candidates of a plan as the ledger keeps them: compressed columns, a tenth of their JSON.

They are 96 % of a plan, and follow from the rest of it: runs of one plan share one row of them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from harchos_infra.planner.encoding import encode
from harchos_infra.planner.plan import Rejection

_SAID = ("provider", "region", "instanceType", "market", "reason", "detail")
_FIGURES = ("costUsd", "gco2e", "start")
"""Left out where there is none."""
_FAST = 1

_values = attrgetter(
    "provider", "region", "instance_type", "market", "reason", "detail", "cost_usd", "gco2e", "start"
)


def pack(rejected: Iterable[Rejection]) -> bytes:
    """Return candidates as they are stored."""
    rows = []
    for lost in rejected:
        *row, cost_usd, gco2e, start = _values(lost)
        if not (cost_usd is gco2e is start is None):
            row += (encode(cost_usd), encode(gco2e), encode(start))
        rows.append(row)
    return zlib.compress(json.dumps(rows, ensure_ascii=False).encode(), _FAST)


def unpack(stored: bytes) -> list[dict[str, Any]]:
    """Return stored candidates as `harchos.plan/1` has them."""
    found = []
    for row in json.loads(zlib.decompress(stored)):
        lost = zip(_SAID + _FIGURES, row, strict=False)
        found.append({key: value for key, value in lost if value is not None})
    return found
