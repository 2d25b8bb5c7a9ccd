"""What is known of the hours ahead when a job is decided on.

Every hour before the present one is known as it was. The present one is not over: like those after it, it is
what the outlook says.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from harchos_infra.errors import HarchosError
from harchos_infra.grid.file_replay import zone_files
from harchos_infra.grid.issued import Issues, read_issues
from harchos_infra.simulation.series import Series

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harchos_infra.grid.forecast.forecaster import Forecaster
    from harchos_infra.grid.forecast.ridge import FittedRidge, Ridge

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

NAMES = ("perfect", "noise:P:SEED", "blend", "ridge", "FILE")
_MAPE_OF_NORMAL = np.sqrt(np.pi / 2)
_SAME_SET = 0.02
DAY_H = 24
FIT_EVERY_H = 28 * DAY_H


class Outlook(Protocol):
    """A forecast as a simulation meets it."""

    @property
    def name(self) -> str:
        """As `--forecast` names it."""
        ...

    @property
    def history_h(self) -> int:
        """Hours of the signal that must have passed before the first decision."""
        ...

    def seen(self, zone: Ints, hour: Ints, ahead: int) -> Floats:
        """Return what is seen at each `hour` of the series in each `zone` (both of shape (rows,)).

        Shape (rows, ahead), from the present hour on. Hours after the end of the series repeat its last one:
        no job runs in them.
        """
        ...


def parse_outlook(text: str, series: Series) -> Outlook:
    """Return the outlook that `--forecast` names: perfect, noise:P:SEED, a forecaster, or files of issues."""
    if text == "perfect":
        return Perfect(series)
    if text.startswith("noise:"):
        return Noise(series, *_noise_arguments(text))
    if Path(text).exists():
        return Issued(series, Path(text))
    from harchos_infra.grid.forecast.forecaster import NAMES as FORECASTERS
    from harchos_infra.grid.forecast.forecaster import forecaster

    if text not in FORECASTERS:
        raise HarchosError(
            f"--forecast {text!r} is neither a forecast nor a file",
            hint=f"perfect, noise:P:SEED, {', '.join(FORECASTERS)}, or a path",
        )
    return Modelled(series, forecaster(text))


def _noise_arguments(text: str) -> tuple[float, int]:
    try:
        _, percent, seed = text.split(":")
        values = float(percent), int(seed)
    except ValueError:
        values = (-1.0, -1)
    if not 0 <= values[0] <= 1000 or values[1] < 0:
        raise HarchosError(
            f"--forecast {text!r}: cannot be read",
            hint="noise:P:SEED, such as noise:10:1 for errors of 10 % on average, drawn from seed 1",
        )
    return values


class Perfect:
    """Foresight: the forecast is what happens."""

    name = "perfect"
    history_h = 0

    def __init__(self, series: Series) -> None:
        self._actual = series.gco2_per_kwh

    def seen(self, zone: Ints, hour: Ints, ahead: int) -> Floats:
        """See `Outlook`."""
        return _ahead(self._actual, zone, hour, ahead)


class Noise:
    """What happens times 1 + an error, drawn once for each zone and hour, whatever the time of issue.

    Errors are normal with a mean absolute value of P percent; a forecast below zero is zero.
    """

    history_h = 0

    def __init__(self, series: Series, percent: float, seed: int) -> None:
        self.name = f"noise:{percent:g}:{seed}"
        spread = percent / 100 * _MAPE_OF_NORMAL
        errors = [
            np.random.default_rng([seed, *zone.encode()]).normal(0, spread, series.hours)
            for zone in series.zones
        ]
        self._forecast = np.maximum(series.gco2_per_kwh * (1 + np.array(errors)), 0)

    def seen(self, zone: Ints, hour: Ints, ahead: int) -> Floats:
        """See `Outlook`."""
        return _ahead(self._forecast, zone, hour, ahead)


class Modelled:
    """A forecaster, run on each zone's own past at each hour of decision and kept as long as it is needed.

    The ridge is fitted anew every four weeks for each zone and hour of day, on what lies before.
    """

    def __init__(self, series: Series, forecaster: Forecaster) -> None:
        self.name = forecaster.name
        self.history_h = forecaster.history_h
        self._series = series
        self._forecaster = forecaster
        self._keys = np.zeros(0, dtype=np.int64)
        self._rows: Floats = np.zeros((0, 0))
        self._fits: dict[tuple[int, int], FittedRidge] = {}

    def seen(self, zone: Ints, hour: Ints, ahead: int) -> Floats:
        """See `Outlook`."""
        keys, where = np.unique(hour * len(self._series.zones) + zone, return_inverse=True)
        if ahead > self._rows.shape[1]:
            self._keys, self._rows = keys[:0], np.zeros((0, ahead))
        self._forget(keys[0])
        missing = np.setdiff1d(keys, self._keys, assume_unique=True)
        if len(missing):
            order = np.argsort(np.concatenate([self._keys, missing]), kind="stable")
            self._rows = np.concatenate([self._rows, self._forecast(missing)])[order]
            self._keys = np.concatenate([self._keys, missing])[order]
        found: Floats = self._rows[np.searchsorted(self._keys, keys)][where, :ahead]
        return found

    def _forget(self, oldest: int) -> None:
        """Drop forecasts that are older than what is asked for: decisions come in order of time."""
        keep = self._keys >= oldest
        self._keys, self._rows = self._keys[keep], self._rows[keep]
        hour = oldest // len(self._series.zones)
        self._fits = {key: fit for key, fit in self._fits.items() if key[0] + 2 * FIT_EVERY_H > hour}

    def _forecast(self, keys: Ints) -> Floats:
        from harchos_infra.grid.forecast.ridge import Ridge

        hour, zone = np.divmod(keys, len(self._series.zones))
        if not isinstance(self._forecaster, Ridge):
            return self._ahead(self._forecaster, zone, hour)
        rows = np.empty((len(keys), self._rows.shape[1]))
        for issue in np.unique(hour).tolist():
            here = np.flatnonzero(hour == issue)
            rows[here] = self._ahead(
                self._fitted(self._forecaster, zone[here], issue), zone[here], hour[here]
            )
        return rows

    def _ahead(self, forecaster: Forecaster, zone: Ints, hour: Ints) -> Floats:
        history, width = self._past(zone, hour, forecaster.history_h), self._rows.shape[1]
        return forecaster.forecast(history, hour + self._series.first, width)

    def _past(self, zone: Ints, hour: Ints, reach: int) -> Floats:
        view = np.lib.stride_tricks.sliding_window_view(self._series.gco2_per_kwh, reach, axis=1)
        past: Floats = view[zone, hour - reach]
        return past

    def _fitted(self, ridge: Ridge, zone: Ints, issue: int) -> FittedRidge:
        """Return the ridge of these zones as it was fitted last before `issue`, at its hour of day."""
        first = ridge.history_h + (issue - ridge.history_h) % DAY_H
        at = first + (issue - first) // FIT_EVERY_H * FIT_EVERY_H
        new = np.array([row for row in zone.tolist() if (at, row) not in self._fits], dtype=np.int64)
        if len(new):
            hours = np.full(len(new), at)
            fit = ridge.fit(self._past(new, hours, ridge.history_h), hours + self._series.first)
            for place, row in enumerate(new.tolist()):
                one = slice(place, place + 1)
                parts = fit.coefficients[one], fit.floor[one], fit.hour_of_day[one]
                self._fits[at, row] = replace(
                    fit, coefficients=parts[0], floor=parts[1], hour_of_day=parts[2]
                )
        fits = [self._fits[at, row] for row in zone.tolist()]
        return replace(
            fits[0],
            coefficients=np.concatenate([one.coefficients for one in fits]),
            floor=np.concatenate([one.floor for one in fits]),
            hour_of_day=np.concatenate([one.hour_of_day for one in fits]),
        )


class Issued:
    """Forecasts from files `ZONE.csv[.gz]`: the newest that had been issued by the hour of decision."""

    history_h = 0

    def __init__(self, series: Series, path: Path) -> None:
        """Read the files of the series' zones; refuse a zone without, or of another factor set."""
        files = zone_files([path])
        self.name = str(path)
        self._series = series
        self._issues: list[Issues | None] = []
        for row, zone in enumerate(series.zones):
            self._issues.append(read_issues(files[zone]) if zone in files else None)
            if zone in files:
                _check_set(files[zone], self._issues[-1], series, row)

    def seen(self, zone: Ints, hour: Ints, ahead: int) -> Floats:
        """See `Outlook`; raise HarchosError where no issue reaches as far as is asked."""
        view = np.empty((len(zone), ahead))
        for row in np.unique(zone).tolist():
            here = np.flatnonzero(zone == row)
            view[here] = self._of_zone(row, hour[here], ahead)
        return view

    def _of_zone(self, row: int, hour: Ints, ahead: int) -> Floats:
        name, issues = self._series.zones[row], self._issues[row]
        if issues is None:
            raise HarchosError(
                f"{self.name}: no forecast of zone {name}",
                hint="leave the zone out of --signal, or add a file",
            )
        now = hour + self._series.first
        newest = np.searchsorted(issues.at, now, side="right") - 1
        wanted = now[:, None] + np.arange(ahead)
        inside = wanted - issues.first[newest][:, None]
        end = issues.begin[newest + 1] - issues.begin[newest]
        needed = np.minimum(wanted[:, -1:], self._series.first + self._series.hours - 1)
        short = np.flatnonzero(
            (newest < 0) | (needed[:, 0] - issues.first[newest] >= end) | (inside[:, 0] < 0)
        )
        if len(short):
            when = self._series.moment(hour[short[0]] * 3600)
            raise HarchosError(
                f"{self.name}: zone {name}: no forecast known at {when:%Y-%m-%dT%H:%MZ} reaches "
                f"{ahead} h ahead",
                hint="simulate jobs whose deadlines the forecasts reach",
            )
        places = issues.begin[newest][:, None] + np.minimum(inside, end[:, None] - 1)
        values: Floats = issues.values[places]
        return values


def _ahead(values: Floats, zone: Ints, hour: Ints, ahead: int) -> Floats:
    """Return a copy of `ahead` hours of each row, the last hour repeated after the end."""
    hours = values.shape[1]
    inside = len(hour) and int(hour.max()) + ahead <= hours
    view: Floats = (
        np.lib.stride_tricks.sliding_window_view(values, ahead, axis=1)[zone, hour]
        if inside
        else values[zone[:, None], np.minimum(hour[:, None] + np.arange(ahead), hours - 1)]
    )
    return view


def _check_set(path: Path, issues: Issues | None, series: Series, row: int) -> None:
    """Refuse forecasts whose own actuals are not those of the signal: another factor set."""
    if issues is None or issues.actual is None:
        return
    place = issues.hour - series.first
    common = (place >= 0) & (place < series.hours)
    if not common.any():
        return
    actual = series.gco2_per_kwh[row, place[common]]
    off = np.abs(issues.actual[common] - actual).mean() / max(actual.mean(), 1e-9)
    if off > _SAME_SET:
        raise HarchosError(
            f"{path}: its gco2_per_kwh_actual is {off:.0%} off the signal's zone {series.zones[row]}: "
            "forecast and signal are of different factor sets",
            hint="take the signal that the forecasts were made for",
        )
