"""The `--forecast` option: whether hours to come are forecast from the hours before, and how."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import typer

from harchos_infra.cli.output import note

if TYPE_CHECKING:
    from datetime import datetime

    from harchos_infra.grid.signal import Signal


class Forecast(StrEnum):
    """A way to forecast."""

    BLEND = "blend"
    RIDGE = "ridge"
    AUTO = "auto"


ForecastOption = typer.Option(
    None,
    "--forecast",
    help="Forecast hours from now on from the hours before: blend, ridge, or auto for what has erred less in "
    "the zone. Default: auto for a plan on a live signal, else what the signal has.",
)


def signal_for(signal: str | None, forecast: str | None, now: datetime) -> Signal:
    """Return the signal that `--signal`, `--forecast` and `--now` name together."""
    from harchos_infra.grid.forecast.forecast_signal import with_forecast
    from harchos_infra.grid.parse import parse_signal

    return with_forecast(parse_signal(signal, say=note), forecast, now)
