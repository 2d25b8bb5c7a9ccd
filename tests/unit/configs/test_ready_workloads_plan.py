"""Every ready workload has somewhere to run: in a cloud, or on a machine of two cores without a GPU."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from harchos_infra.catalog import Catalog, Offer, Region
from harchos_infra.grid.replay import builtin_replay
from harchos_infra.planner.planner import plan
from harchos_infra.share import ready_workloads, share_directory
from harchos_infra.workload.loader import load

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
CONFIGS = share_directory("configs")
READY = ready_workloads()
HERE = Region("local", "local", "this machine", "DE", 52.5, 13.4, "DE", 1.0, "a machine at home")
MACHINE = Offer("local", "local", "machine", "on-demand", None, 0, None, 2, 8, 0.0, "2026-11-23", "its owner")


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog.builtin().with_machine(HERE, MACHINE)


@pytest.mark.parametrize("path", READY, ids=[str(path.relative_to(CONFIGS)) for path in READY])
def test_a_plan_is_found_where_it_asks_to_run(path: Path, catalog: Catalog) -> None:
    workload = load(path).workload
    made = plan(workload, catalog=catalog, signal=builtin_replay(), now=NOW)
    assert made.chosen is not None, made.nearest_miss
    provider = made.chosen.segments[0].provider
    assert (provider == "local") == (workload.spec.placement.providers == ("local",))


def test_digits_emits_less_than_at_home_at_no_more_cost(catalog: Catalog) -> None:
    workload = load(CONFIGS / "training" / "digits.yaml").workload
    made = plan(workload, catalog=catalog, signal=builtin_replay(), now=NOW)
    home = made.baselines["runNowHome"]
    assert made.chosen is not None
    assert home is not None
    assert made.chosen.gco2e < home.gco2e
    assert made.chosen.cost_usd <= home.cost_usd
    assert made.chosen.finish <= NOW + timedelta(hours=36)
