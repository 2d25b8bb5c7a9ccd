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
    """A rule for where and when jobs run.

    `looks_ahead`: it takes a forecast, and can be replanned. `anywhere`: it may leave a job's home.
    """

    name: str
    what: str
    run: Callable[[Jobs, World], Spans]
    looks_ahead: bool
    anywhere: bool


def _now(name: str, what: str, run: Callable[[Jobs, World], Spans], *, anywhere: bool = True) -> Policy:
    return Policy(name, what, run, looks_ahead=False, anywhere=anywhere)


def _ahead(name: str, what: str, run: Callable[..., Spans], *, anywhere: bool) -> Policy:
    return Policy(name, what, partial(run, anywhere=anywhere), looks_ahead=True, anywhere=anywhere)


POLICIES = {
    policy.name: policy
    for policy in (
        _now("run-now", "on arrival, at home", run_now, anywhere=False),
        _now("run-now-cheapest", "on arrival, in the zone with the cheapest nodes", run_now_cheapest),
        _now("greenest-now", "on arrival, where it was greenest in the last known hour", greenest_now),
        _now("best-static", "on arrival, all in the one zone that is best in hindsight", best_static),
        _ahead("wait-window", "at home, in the greenest window", by_window, anywhere=False),
        _ahead("wait-interruptible", "at home, in the greenest hours", by_pauses, anywhere=False),
        _now("threshold", "at home, in hours greener than 70 % of a week", by_threshold, anywhere=False),
        _ahead("region-window", "in the greenest window of any zone", by_window, anywhere=True),
        _ahead("region-interruptible", "in the greenest hours of one zone", by_pauses, anywhere=True),
        Policy("migrate", "in the greenest hours of all zones", by_moves, looks_ahead=True, anywhere=True),
        _now("oracle", "the least that hindsight allows: windows, pauses and moves", oracle),
    )
}
