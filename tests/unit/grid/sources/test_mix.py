"""Generation mixes become intensities with factors that name their source."""

import csv
from pathlib import Path

import pytest

from harchos_infra.grid.sources import mix
from harchos_infra.grid.sources.eia import FUELS as EIA_FUELS
from harchos_infra.grid.sources.entsoe import FUELS as ENTSOE_FUELS
from harchos_infra.grid.sources.mix import STORAGE, factors, fuel_of, intensity_of_mix
from harchos_infra.grid.sources.source import SourceError


def test_every_factor_names_source_and_licence() -> None:
    with (Path(mix.__file__).parent / "factors.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 12
    assert all(row["source"] and row["licence"] for row in rows)


@pytest.mark.parametrize("fuels", [EIA_FUELS, ENTSOE_FUELS])
def test_every_fuel_of_a_source_has_a_factor_or_is_storage(fuels: dict[str, str]) -> None:
    assert set(fuels.values()) <= {*factors(), STORAGE}


def test_a_mix_is_worked_out_by_hand() -> None:
    (reading,) = intensity_of_mix({0: {"coal": 10.0, "wind": 30.0, "nuclear": 60.0}}, 3600)
    assert reading.gco2_per_kwh == pytest.approx((10 * 820 + 30 * 11 + 60 * 12) / 100)


def test_storage_and_what_a_plant_takes_do_not_count() -> None:
    (reading,) = intensity_of_mix({0: {"gas": 50.0, "solar": -1.0, STORAGE: 500.0}}, 3600)
    assert reading.gco2_per_kwh == 490


def test_an_hour_that_waits_for_a_usual_fuel_is_a_gap() -> None:
    whole = {"coal": 50.0, "wind": 50.0}
    steps = {0: whole, 3600: whole, 7200: whole, 10800: {"wind": 50.0}}
    assert [r.gco2_per_kwh for r in intensity_of_mix(steps, 3600)] == [415.5, 415.5, 415.5, None]


def test_a_rare_fuel_may_be_missing() -> None:
    steps = {0: {"wind": 1.0}, 3600: {"wind": 1.0}, 7200: {"wind": 1.0, "oil": 1.0}}
    assert [r.gco2_per_kwh for r in intensity_of_mix(steps, 3600)] == [11, 11, 330.5]


@pytest.mark.parametrize("steps", [{0: {"coal": None, "wind": 1.0}}, {0: {"coal": 0.0}}, {0: {STORAGE: 4.0}}])
def test_no_value_and_no_generation_are_gaps(steps: dict[int, dict[str, float | None]]) -> None:
    assert intensity_of_mix(steps, 3600)[0].gco2_per_kwh is None


def test_an_unknown_fuel_is_refused_by_name() -> None:
    with pytest.raises(SourceError, match="'FUSION', which no factor is known for"):
        fuel_of("FUSION", EIA_FUELS, "eia")
