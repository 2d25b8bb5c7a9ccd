"""What was saved against the baselines that the plan froze before it optimised, with its sign."""

from __future__ import annotations

from dataclasses import dataclass

from harchos_infra.report.carbon import Carbon, Cost
from harchos_infra.report.interval import Interval
from harchos_infra.report.planned import Planned


@dataclass(frozen=True, slots=True)
class Saving:
    """Baseline minus ours: positive is saved, negative is spent.

    Embodied carbon is left out of both sides (`embodied_included` False) unless it is published for both.
    """

    baseline_gco2e: Interval
    ours_gco2e: Interval
    embodied_included: bool
    baseline_usd: float
    ours_usd: float

    @property
    def gco2e(self) -> Interval:
        """Grams saved; an interval where data is transferred."""
        return self.baseline_gco2e.minus(self.ours_gco2e)

    @property
    def gco2e_share(self) -> Interval | None:
        """Grams saved as a share of the baseline; None against a baseline that emits nothing."""
        theirs, ours = self.baseline_gco2e, self.ours_gco2e
        if theirs.low <= 0 or theirs.high <= 0:
            return None
        ends = (1 - ours.low / theirs.low, 1 - ours.high / theirs.high)
        return Interval(min(ends), max(ends))

    @property
    def usd(self) -> float:
        """Dollars saved."""
        return self.baseline_usd - self.ours_usd

    @property
    def usd_share(self) -> float | None:
        """Dollars saved as a share of the baseline; None against a baseline that costs nothing."""
        return self.usd / self.baseline_usd if self.baseline_usd > 0 else None


def saving(baseline: Planned, carbon: Carbon, cost: Cost) -> Saving | None:
    """Compare a baseline with ours on the same boundary; None where ours has no operational figure."""
    both = not (baseline.carbon.embodied_unpublished or carbon.embodied_unpublished)
    theirs, ours = baseline.carbon.total(embodied=both), carbon.total(embodied=both)
    if theirs is None or ours is None:
        return None
    return Saving(theirs, ours, both, baseline.cost.total, cost.total)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One frozen baseline beside the plan and beside the run.

    `baseline` is None where the plan has none of this kind. `planned` compares planned with planned.
    `realised` compares the run with the baseline's planned figure; None where `realised_reason` says why
    that would not be honest. `later_s` is how much later than the baseline the plan finishes.
    """

    key: str
    baseline: Planned | None
    planned: Saving | None
    realised: Saving | None
    realised_reason: str | None
    later_s: float | None
