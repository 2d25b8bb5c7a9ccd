"""What a simulation found: totals, savings and shares, and a row for each job (`harchos.simulation/1`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harchos_infra.catalog.transfer import ENERGY_KWH_PER_GB
from harchos_infra.planner.window import HOUR_S, TIE
from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.policy import Policy
from harchos_infra.simulation.prices import Prices
from harchos_infra.simulation.series import Series
from harchos_infra.simulation.spans import Account, Spans

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCHEMA = "harchos.simulation/1"


@dataclass(frozen=True)
class Outcome:
    """Where and when all jobs ran, what that took, and USD by job (NaN: a price is not known; None: none)."""

    spans: Spans
    account: Account
    usd: NDArray[np.float64] | None

    @property
    def gco2(self) -> float:
        """All grams, moves at the low end of their range."""
        return float(self.account.gco2.sum())

    @property
    def total_usd(self) -> float | None:
        """All USD; None without prices, or where one is not known."""
        total = np.nan if self.usd is None else float(self.usd.sum())
        return None if np.isnan(total) else total


@dataclass(frozen=True)
class Result:
    """A policy beside run-now, greenest-now, itself with foresight and the oracle.

    `foresight` is None where the policy has it, or looks at no forecast. Savings are shares of
    run-now's grams, negative where the policy takes more.
    """

    jobs: Jobs
    series: Series
    policy: Policy
    forecast: str | None
    replan_s: int | None
    prices: Prices | None
    realised: Outcome
    run_now: Outcome
    greenest_now: Outcome
    foresight: Outcome | None
    oracle: Outcome

    def saving(self, outcome: Outcome) -> float | None:
        """Return the share of run-now's grams that an outcome saves; None where run-now takes none."""
        return 1 - outcome.gco2 / self.run_now.gco2 if self.run_now.gco2 else None

    def share_of(self, best: Outcome) -> float | None:
        """Return the share of the best outcome's saving that the policy keeps; None if that saves nothing."""
        attainable = self.run_now.gco2 - best.gco2
        if attainable <= TIE * self.run_now.gco2:
            return None
        return (self.run_now.gco2 - self.realised.gco2) / attainable

    def named(self) -> Iterator[tuple[str, Outcome]]:
        """Yield the outcomes with the names that the JSON document has for them."""
        yield "realised", self.realised
        yield "runNow", self.run_now
        yield "greenestNow", self.greenest_now
        if self.foresight is not None:
            yield "foresight", self.foresight
        yield "oracle", self.oracle

    def caveats(self) -> list[str]:
        """Return what a reader must know before believing the figures, the worst first."""
        found, name = [], self.policy.name
        others = {"run-now": self.run_now}
        if self.policy.anywhere:
            others["greenest-now"] = self.greenest_now
        for other, outcome in others.items():
            over = self.realised.gco2 - outcome.gco2
            if over > TIE * outcome.gco2:
                found.append(f"{name} took {over / outcome.gco2:.2%} more carbon than {other}")
        if self.forecast == "perfect":
            found.append("the forecast is perfect: an upper bound, nobody can run this")
        if name in ("oracle", "best-static"):
            found.append(f"{name} is chosen in hindsight: nobody can run this")
        if self.series.left_out_h:
            found.append(f"{self.series.left_out_h} h that some zones lack were left out of the signal")
        if self.realised.account.moves.any() and not self.jobs.state_gib.any():
            found.append("no job has checkpoint_gib: running elsewhere costs no transfer here")
        return found

    def document(self) -> dict[str, Any]:
        """Return the whole result as `harchos.simulation/1`."""
        series, prices = self.series, self.prices
        return {
            "schema": SCHEMA,
            "policy": {"name": self.policy.name, "what": self.policy.what},
            "forecast": self.forecast,
            "replanSeconds": self.replan_s,
            "signal": {
                "source": series.source,
                "quantity": series.quantity,
                "zones": list(series.zones),
                "start": self._when(0),
                "hours": series.hours,
                "leftOutHours": series.left_out_h,
            },
            "prices": None
            if prices is None
            else {
                "gpu": prices.gpu,
                "zones": {
                    zone: {
                        "usdPerNodeHour": offer.price_usd_hour,
                        "offer": f"{offer.provider}/{offer.region} {offer.instance_type}",
                        "gpuCount": offer.gpu_count,
                        "asOf": offer.price_as_of,
                    }
                    for zone, offer in zip(series.zones, prices.offers, strict=True)
                    if offer is not None
                },
            },
            "totals": {name: self._totals(outcome) for name, outcome in self.named()},
            "saving": {
                "shareOfRunNow": self.saving(self.realised),
                "gco2": self.run_now.gco2 - self.realised.gco2,
                "usd": self._usd_saved(),
                "gco2AgainstGreenestNow": self.greenest_now.gco2 - self.realised.gco2,
                "shareOfOracle": self.share_of(self.oracle),
                "shareOfForesight": None if self.foresight is None else self.share_of(self.foresight),
            },
            "jobs": list(self._rows()),
            "transferKwhPerGb": {"low": ENERGY_KWH_PER_GB[0], "high": ENERGY_KWH_PER_GB[1]},
            "caveats": self.caveats(),
        }

    def _usd_saved(self) -> float | None:
        before, after = self.run_now.total_usd, self.realised.total_usd
        return None if before is None or after is None else before - after

    def _totals(self, outcome: Outcome) -> dict[str, Any]:
        account = outcome.account
        return {
            "jobs": len(self.jobs),
            "kwh": float(account.kwh.sum()),
            "gco2": outcome.gco2,
            "computeGco2": float(account.compute_g.sum()),
            "restartKwh": float(account.restart_kwh.sum()),
            "restartGco2": float(account.restart_g.sum()),
            "transferKwh": _range(account.move_kwh.sum(axis=1)),
            "transferGco2": _range(account.move_g.sum(axis=1)),
            "usd": outcome.total_usd,
            "savingShare": self.saving(outcome),
            "delayHoursMean": float(account.delay_s.mean()) / HOUR_S,
            "delayHoursMax": float(account.delay_s.max()) / HOUR_S,
            "restarts": int(account.restarts.sum()),
            "moves": int(account.moves.sum()),
        }

    def _rows(self) -> Iterator[dict[str, Any]]:
        account, spans = self.realised.account, self.realised.spans
        ends = np.searchsorted(spans.job, np.arange(len(self.jobs) + 1))
        before, best = self.run_now.account.gco2, self.oracle.account.gco2
        kwh, grams = account.kwh, account.gco2
        for job, name in enumerate(self.jobs.ids):
            yield {
                "id": name,
                "homeZone": self.series.zones[self.jobs.home[job]],
                "arrival": self._when(self.jobs.arrival_s[job]),
                "deadline": self._when(self.jobs.deadline_s[job]),
                "spans": [
                    {
                        "zone": self.series.zones[spans.zone[place]],
                        "start": self._when(spans.start_s[place]),
                        "end": self._when(spans.end_s[place]),
                    }
                    for place in range(ends[job], ends[job + 1])
                ],
                "kwh": float(kwh[job]),
                "gco2": float(grams[job]),
                "transferGco2": _range(account.move_g[:, job]),
                "usd": None
                if self.realised.usd is None or np.isnan(self.realised.usd[job])
                else float(self.realised.usd[job]),
                "delayHours": float(account.delay_s[job]) / HOUR_S,
                "restarts": int(account.restarts[job]),
                "moves": int(account.moves[job]),
                "runNowGco2": float(before[job]),
                "oracleGco2": float(best[job]),
            }

    def _when(self, offset_s: float) -> str:
        return f"{self.series.moment(offset_s):%Y-%m-%dT%H:%M:%SZ}"


def _range(both: NDArray[np.float64]) -> dict[str, float]:
    return {"low": float(both[0]), "high": float(both[1])}
