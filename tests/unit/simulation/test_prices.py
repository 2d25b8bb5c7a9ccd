"""Dollars: node-hours at the price of the zone, and egress for what moves; unknown is unknown."""

from __future__ import annotations

import numpy as np
import pytest
from small_jobs import HOUR_S, job, world

from harchos_infra.catalog import Catalog
from harchos_infra.errors import HarchosError
from harchos_infra.simulation.prices import Prices
from harchos_infra.simulation.series import Series
from harchos_infra.simulation.spans import GB_PER_GIB, Spans

SERIES = Series(("DE", "FR", "XX"), 455_832, np.full((3, 24), 100.0), "", "")
EGRESS = np.array([[0.0, 0.02, np.nan], [0.05, 0.0, np.nan], [np.nan, np.nan, 0.0]])


def spans(*parts: tuple[int, float, float]) -> Spans:
    zone, start, end = (np.array(column) for column in zip(*parts, strict=True))
    return Spans(np.zeros(len(parts), int), zone, (start * HOUR_S).astype(int), (end * HOUR_S).astype(int))


def test_each_zone_costs_its_cheapest_on_demand_offer():
    catalog = Catalog.builtin()
    prices = Prices.of("L4", SERIES, catalog)
    for row, zone in enumerate(SERIES.zones):
        offered = [
            offer.price_usd_hour
            for offer in catalog.offers
            if (offer.gpu_model, offer.market) == ("L4", "on-demand")
            and catalog.regions[offer.provider, offer.region].zone == zone
        ]
        assert prices.usd_hour[row] == min(offered) if offered else np.isnan(prices.usd_hour[row])
    assert world(SERIES, prices=prices).places.tolist() == [0, 1]


def test_node_hours_and_egress_add_up():
    prices = Prices("L4", np.array([2.0, 3.0, np.nan]), (None, None, None), EGRESS)
    moving = job(0, 3, 10, nodes=np.array([4]), state_gib=np.array([100.0]))
    gb = 100 * GB_PER_GIB
    assert prices.usd(moving, spans((0, 0, 3))).tolist() == [4 * 3 * 2.0]
    assert prices.usd(moving, spans((1, 0, 1), (0, 4, 6))).tolist() == pytest.approx(
        [4 * 3.0 + 4 * 2 * 2.0 + gb * 0.02 + gb * 0.05]
    )


def test_an_unknown_egress_price_leaves_the_total_unknown_unless_nothing_moves():
    prices = Prices("L4", np.array([2.0, 3.0, 1.0]), (None, None, None), EGRESS)
    assert np.isnan(prices.usd(job(0, 3, 10, state_gib=np.array([1.0])), spans((2, 0, 3)))).all()
    assert prices.usd(job(0, 3, 10), spans((2, 0, 3))).tolist() == [3.0]


def test_a_home_without_offer_is_refused_with_its_line():
    prices = Prices.of("L4", SERIES, Catalog.builtin())
    with pytest.raises(HarchosError, match=r"jobs\.csv:2: home_zone: no on-demand offer of L4 in XX"):
        prices.check_homes(job(0, 3, 10, home=np.array([2])), SERIES, "jobs.csv")
