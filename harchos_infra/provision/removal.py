"""Removes a hub by its marks: what the cloud's own listing still shows, until it shows nothing."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from harchos_infra.clouds.cloud import Cloud, Resource
from harchos_infra.errors import HarchosError
from harchos_infra.provision.child import CancelledError

PAUSES_S = (0.0, 5.0, 10.0, 20.0, 40.0, 60.0, 60.0, 60.0)
"""Before each sweep: a cloud takes minutes to give up a machine, and what hangs on it goes after it."""
LOCAL_PAUSES_S = (0.0, 0.0, 0.0)


def remove(
    adapter: Cloud,
    hub: str,
    *,
    failure: HarchosError | None,
    pauses_s: Sequence[float],
    cancel: threading.Event,
) -> None:
    """Delete what the cloud lists for a hub, in its order, again after each pause, until it lists nothing.

    Raises HarchosError naming what is left, what it costs, and why; `failure` is why Terraform could not.
    """
    refusals: list[str] = []
    for pause_s in pauses_s:
        if cancel.wait(pause_s):
            raise CancelledError(f"the removal of hub {hub} was cancelled")
        left = adapter.list(hub=hub)
        if not left:
            return
        refusals = []
        for resource in left:
            try:
                adapter.delete(resource)
            except HarchosError as error:
                refusals.append(error.what)
    left = adapter.list(hub=hub)
    if left:
        reasons = [*refusals, *([failure.what] if failure else [])]
        raise HarchosError(
            f"hub {hub} is not gone; {adapter.name} ({adapter.identity()}) still lists:\n  "
            + "\n  ".join([*map(_describe, left), *reasons]),
            hint="correct the cause and run `harchos destroy` again, or `harchos sweep`",
        )


def _describe(resource: Resource) -> str:
    price = f", {resource.price_usd_hour:.2f} USD/h" if resource.price_usd_hour is not None else ""
    return f"{resource.kind} {resource.id} {resource.detail}".rstrip() + price
