"""How long a hub may live where its workload does not say."""

from __future__ import annotations


def default_ttl_s(planned_s: float) -> float:
    """Return for how many seconds a hub lives at most: 1.5 times what is planned, and half an hour."""
    return 1.5 * planned_s + 1800
