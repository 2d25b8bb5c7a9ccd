"""The policies by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.policy_moves import by_moves, oracle
from harchos_infra.simulation.policy_now import best_static, greenest_now, run_now, run_now_cheapest
from harchos_infra.simulation.policy_pauses import by_pauses
from harchos_infra.simulation.policy_threshold import by_threshold
from harchos_infra.simulation.policy_window import by_window
from harchos_infra.simulation.spans import Spans
from harchos_infra.simulation.world import World


@dataclass(frozen=True)
class Policy:
    """A rule for where and when jobs run. `looks_ahead`: it takes a forecast, and can be replanned."""

    name: str
    what: str
    run: Callable[[Jobs, World], Spans]
    looks_ahead: bool = False


POLICIES = {
    policy.name: policy
    for policy in (
        Policy("run-now", "on arrival, at home", run_now),
        Policy("run-now-cheapest", "on arrival, in the zone with the cheapest nodes", run_now_cheapest),
        Policy(
            "greenest-now", "on arrival, in the zone that was greenest in the last known hour", greenest_now
        ),
        Policy("best-static", "on arrival, all in the one zone that is best in hindsight", best_static),
        Policy("wait-window", "at home, in the greenest window", partial(by_window, anywhere=False), True),
        Policy(
            "wait-interruptible", "at home, in the greenest hours", partial(by_pauses, anywhere=False), True
        ),
        Policy("threshold", "at home, in hours below the 30th percentile of the week before", by_threshold),
        Policy(
            "region-window", "in the greenest window of any zone", partial(by_window, anywhere=True), True
        ),
        Policy(
            "region-interruptible",
            "in the greenest hours of the best zone",
            partial(by_pauses, anywhere=True),
            True,
        ),
        Policy("migrate", "in the greenest hours of all zones, moving between them", by_moves, True),
        Policy("oracle", "the least that hindsight allows: windows, pauses and moves", oracle),
    )
}
