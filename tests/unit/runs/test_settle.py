"""Settling a run: what the grid really was, and what stands in where the signal cannot say."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from harchos_infra.runs.settle import realised_intensities
from support.fake_carbon import FakeCarbon
from support.records import START, hub, iso, plan, record, schedule, segment


def test_where_a_live_source_has_no_figure_the_plan_s_own_stand_in_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path))
    span = hub(created_at=START, gone_at=START + timedelta(hours=2))
    with FakeCarbon(lambda: START + timedelta(hours=2)) as fake:
        for variable, value in fake.environment().items():
            monkeypatch.setenv(variable, value)
        settled = realised_intensities(record(hubs=(span,)), "eia")
    assert settled["SE-SE3"] == {
        "start": START.isoformat(),
        "gco2_per_kwh": [20.0, 30.0],
        "basis": "replay of 2022, scaled to 2025",
        "notSettled": "eia does not cover it (balancing authorities of the contiguous United States)",
    }


def test_hours_of_a_pause_stay_without_a_figure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path))
    monkeypatch.setenv("EIA_API_KEY", "DEMO_KEY")
    later = START + timedelta(hours=3)
    segments = (
        segment(intensityGco2PerKwh=[20.0, 30.0]),
        segment(start=iso(later), intensityStepS=1800, intensityGco2PerKwh=[40.0, 60.0]),
    )
    settled = realised_intensities(record(hubs=(hub(),), plan=plan(chosen=schedule(*segments))), "eia")
    assert settled["SE-SE3"]["gco2_per_kwh"] == [20.0, 30.0, None, 50.0]
