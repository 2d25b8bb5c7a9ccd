"""What of a zone's past may be read, and what becomes of gaps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from harchos_infra.grid.file_replay import FileReplay
from harchos_infra.grid.forecast.history import bridge, read_history
from harchos_infra.grid.signal import NoIntensity

NEW_YEAR = datetime(2022, 1, 1, tzinfo=UTC)


def hours_with_gap(first: int, end: int, hours: int = 1000) -> np.ndarray:
    values = np.arange(float(hours))
    values[first:end] = np.nan
    return values


def test_what_lacks_nothing_stays_as_it_is() -> None:
    values, bridged = bridge(np.arange(1000.0))
    assert (values == np.arange(1000.0)).all()
    assert bridged == 0


def test_up_to_a_day_is_taken_from_the_day_before() -> None:
    values, bridged = bridge(hours_with_gap(500, 524))
    assert (values[500:524] == np.arange(476.0, 500)).all()
    assert bridged == 24


def test_up_to_a_week_is_taken_from_the_week_before() -> None:
    values, bridged = bridge(hours_with_gap(900, 930))
    assert (values[900:930] == np.arange(732.0, 762)).all()
    assert bridged == 30


def test_the_last_hours_may_be_missing_too() -> None:
    values, bridged = bridge(hours_with_gap(998, 1000))
    assert list(values[-2:]) == [974, 975]
    assert bridged == 2


def test_after_a_longer_gap_history_begins_anew() -> None:
    values, bridged = bridge(hours_with_gap(300, 469))
    assert values[0] == 469
    assert bridged == 0


def test_the_first_week_lacks_nothing() -> None:
    values, _ = bridge(hours_with_gap(100, 101))
    assert values[0] == 101


def test_where_too_much_is_missing_nothing_is_left() -> None:
    values = np.arange(2000.0)
    values[200::10] = np.nan
    assert len(bridge(values)[0]) == 0


def write(path: Path, values: Sequence[float]) -> FileReplay:
    lines = [
        f"{NEW_YEAR + timedelta(hours=hour):%Y-%m-%dT%H:%MZ},{value}" for hour, value in enumerate(values)
    ]
    path.write_text("timestamp,gco2_per_kwh\n" + "\n".join(lines) + "\n")
    return FileReplay(path)


def test_a_file_is_not_read_outside_its_hours(tmp_path: Path) -> None:
    """A year's file replays the same season before its first hour: that is its own future."""
    signal = write(tmp_path / "DE.csv", np.arange(8760.0))
    history = read_history(signal, "DE", NEW_YEAR + timedelta(hours=700), least_h=504, live_h=504)
    assert list(history.values) == list(range(700 - 700 // 24 * 24, 700))


def test_too_short_a_history_is_refused(tmp_path: Path) -> None:
    signal = write(tmp_path / "DE.csv", np.arange(8760.0))
    with pytest.raises(NoIntensity, match=r"503 h .* needs 504 h"):
        read_history(signal, "DE", NEW_YEAR + timedelta(hours=503), least_h=504, live_h=504)


def test_beyond_the_file_less_than_a_year_is_replayed(tmp_path: Path) -> None:
    """A replayed year comes round again: history must not hold the hours that are to be forecast."""
    signal = write(tmp_path / "DE.csv", np.arange(8760.0))
    history = read_history(signal, "DE", NEW_YEAR + timedelta(days=800), least_h=504, live_h=504)
    to_come = signal.intensity("DE", NEW_YEAR + timedelta(days=800), 24 * 28).gco2_per_kwh
    assert not set(history.values) & set(to_come)
