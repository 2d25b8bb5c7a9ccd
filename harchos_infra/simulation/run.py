"""One simulation: the policy and what it is compared with, on the same jobs and actual intensity."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harchos_infra.errors import HarchosError
from harchos_infra.planner.window import HOUR_S
from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.outlook import Outlook, Perfect
from harchos_infra.simulation.policy import POLICIES, Policy
from harchos_infra.simulation.prices import Prices
from harchos_infra.simulation.result import Outcome, Result
from harchos_infra.simulation.series import Series
from harchos_infra.simulation.spans import account
from harchos_infra.simulation.world import World


def simulate(
    jobs: Jobs,
    series: Series,
    policy: Policy,
    outlook: Outlook,
    *,
    replan_s: int | None = None,
    prices: Prices | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Result:
    """Run `jobs` under a policy that sees the future through `outlook`, and count what it took.

    With it go run-now, greenest-now, the oracle and, where the policy looks ahead through less than perfect
    eyes, the same policy with foresight. `progress` is told the share that is done. Raises HarchosError
    where a job arrives before a forecast can be made.
    """
    if policy.looks_ahead:
        _check_history(jobs, series, outlook)
    foresight = policy.looks_ahead and not isinstance(outlook, Perfect)
    ticks = _Ticks(jobs, passes=1 + foresight, progress=progress)
    world = World(series, outlook, replan_s, prices, ticks.tick)
    knowing = World(series, Perfect(series), None, prices, ticks.tick)

    def outcome(which: Policy, where: World) -> Outcome:
        spans = which.run(jobs, where)
        usd = prices.usd(jobs, spans) if prices else None
        return Outcome(spans, account(jobs, series, spans), usd)

    realised = outcome(policy, world)
    return Result(
        jobs=jobs,
        series=series,
        policy=policy,
        forecast=outlook.name if policy.looks_ahead else None,
        replan_s=replan_s,
        prices=prices,
        realised=realised,
        run_now=outcome(POLICIES["run-now"], knowing),
        greenest_now=outcome(POLICIES["greenest-now"], knowing),
        foresight=outcome(policy, knowing) if foresight else None,
        oracle=outcome(POLICIES["oracle"], knowing),
    )


class _Ticks:
    """Turns jobs that were placed in one of the passes into the share of all that is to be done."""

    def __init__(self, jobs: Jobs, *, passes: int, progress: Callable[[float], None]) -> None:
        self._done, self._progress = 0, progress
        self._all = (passes + 1) * len(jobs) + 2 * int(jobs.interruptible.sum())

    def tick(self, jobs: int) -> None:
        self._done += jobs
        self._progress(min(self._done / self._all, 1.0))


def _check_history(jobs: Jobs, series: Series, outlook: Outlook) -> None:
    early = np.flatnonzero(jobs.arrival_s // HOUR_S < outlook.history_h)
    if len(early):
        job = int(early[0])
        past_h = jobs.arrival_s[job] / HOUR_S
        raise HarchosError(
            f"job {jobs.ids[job]!r} (line {jobs.lines[job]}) arrives {past_h:g} h after the signal's first "
            f"sample, but forecast {outlook.name} needs {outlook.history_h} h of history",
            hint=f"give a signal that begins earlier, or jobs from "
            f"{series.moment(outlook.history_h * HOUR_S):%Y-%m-%dT%H:%MZ} on, or --forecast perfect",
        )
