"""Sources that ask the fake server, and the present they are asked at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from harchos_infra.grid.sources.eia import Eia
from harchos_infra.grid.sources.electricitymaps import ElectricityMaps
from harchos_infra.grid.sources.energycharts import EnergyCharts
from harchos_infra.grid.sources.entsoe import Entsoe
from harchos_infra.grid.sources.gb import GreatBritain
from harchos_infra.grid.sources.http import Http
from harchos_infra.grid.sources.live import LiveSignal
from harchos_infra.grid.sources.source import Source
from harchos_infra.grid.sources.watttime import WattTime
from support.fake_carbon import EIA_KEY, EM_TOKEN, ENTSOE_TOKEN, WT_PASSWORD, WT_USER, FakeCarbon

NOW = datetime(2026, 11, 24, 10, 20, tzinfo=UTC)
HOUR = NOW.replace(minute=0)

LiveOf = Callable[..., LiveSignal]
"""Builds a signal of the source named."""


class Clock:
    """A present that a test moves."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


def source(name: str, fake: FakeCarbon, http: Http | None = None) -> Source:
    """Return a source that asks `fake`, with a key that it accepts."""
    http, url = http or Http(sleep=lambda _: None), fake.url(name)
    sources: dict[str, Callable[[], Source]] = {
        "electricitymaps": lambda: ElectricityMaps(http, EM_TOKEN, url),
        "watttime": lambda: WattTime(http, WT_USER, WT_PASSWORD, url),
        "gb": lambda: GreatBritain(http, url),
        "energycharts": lambda: EnergyCharts(http, url),
        "eia": lambda: Eia(http, EIA_KEY, url),
        "entsoe": lambda: Entsoe(http, ENTSOE_TOKEN, url),
    }
    return sources[name]()
