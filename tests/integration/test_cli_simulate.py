"""`harchos simulate` as a user meets it: what it prints and what it refuses."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.command import Harchos

START = datetime(2024, 1, 1, tzinfo=UTC)
HEADER = "id,arrival,duration_h,deadline,nodes,power_kw,interruptible,home_zone"


@pytest.fixture
def world(tmp_path: Path) -> tuple[str, ...]:
    """Write two days of two zones and two jobs; return the options that name them."""
    (tmp_path / "zones").mkdir()
    day = [400.0] * 12 + [100.0] * 12
    for zone, values in (("DE", day * 2), ("FR", [200.0] * 48)):
        rows = [f"{START + timedelta(hours=h):%Y-%m-%dT%H:%M:%SZ},{v}" for h, v in enumerate(values)]
        text = "\n".join(["timestamp,gco2_per_kwh", *rows]) + "\n"
        if zone == "DE":
            (tmp_path / "zones" / "DE.csv").write_text(text)
        else:
            (tmp_path / "zones" / "FR.csv.gz").write_bytes(gzip.compress(text.encode()))
    jobs = tmp_path / "jobs.csv"
    jobs.write_text(f"{HEADER}\na,2,4,20,1,1,false,DE\nb,2024-01-01T10:00Z,4,30,2,1,true,DE\n")
    return "--jobs", str(jobs), "--signal", str(tmp_path / "zones")


def test_totals_and_rows_can_be_added_up_by_hand(harchos: Harchos, world: tuple[str, ...]) -> None:
    code, out, err = harchos("simulate", *world, "--policy", "wait-window", "--forecast", "perfect", "--json")
    made = json.loads(out)
    assert (code, err, made["schema"]) == (0, "", "harchos.simulation/1")
    assert made["totals"]["runNow"]["gco2"] == 4 * 400 + 2 * (2 * 400 + 2 * 100)
    assert made["totals"]["realised"]["gco2"] == 4 * 100 + 2 * 4 * 100
    assert made["totals"]["realised"]["usd"] is None
    assert made["totals"]["realised"]["delayHoursMean"] == (10 + 2) / 2
    assert made["saving"]["shareOfRunNow"] == 1 - 1200 / 3600
    assert made["saving"]["shareOfOracle"] == 1.0
    assert [row["spans"] for row in made["jobs"]] == [
        [{"zone": "DE", "start": "2024-01-01T12:00:00Z", "end": "2024-01-01T16:00:00Z"}],
        [{"zone": "DE", "start": "2024-01-01T12:00:00Z", "end": "2024-01-01T16:00:00Z"}],
    ]


def test_json_is_short_for_format_json(harchos: Harchos, world: tuple[str, ...]) -> None:
    options = ("simulate", *world, "--policy", "greenest-now")
    assert harchos(*options, "--json") == harchos(*options, "--format", "json")


def test_a_policy_that_a_bad_forecast_makes_worse_says_so(
    harchos: Harchos, world: tuple[str, ...], tmp_path: Path
) -> None:
    for zone, values in (("DE", [300] * 24 + [50] * 24), ("FR", [900] * 48)):
        rows = [
            f"{START:%Y-%m-%dT%H:%M:%SZ},{START + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ},{value}"
            for hour, value in enumerate(values)
        ]
        path = tmp_path / "forecasts" / f"{zone}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(["issued_at,timestamp,gco2_per_kwh_forecast", *rows]) + "\n")
    code, out, err = harchos(
        "simulate", *world, "--policy", "region-window", "--forecast", str(tmp_path / "forecasts")
    )
    assert code == 0
    assert "saving against run-now -33.3%" in out
    assert "region-window took 33.33% more carbon than run-now" in err
    assert "region-window took 100.00% more carbon than greenest-now" in err


def test_prices_come_with_a_gpu_and_only_then(harchos: Harchos, world: tuple[str, ...]) -> None:
    code, out, _ = harchos("simulate", *world, "--policy", "run-now-cheapest", "--gpu", "L4", "--json")
    made = json.loads(out)
    prices = {zone: row["usdPerNodeHour"] for zone, row in made["prices"]["zones"].items()}
    cheapest = min(prices, key=lambda zone: (prices[zone], zone != "DE"))
    assert code == 0
    assert {span["zone"] for row in made["jobs"] for span in row["spans"]} == {cheapest}
    assert made["totals"]["realised"]["usd"] == pytest.approx(4 * prices[cheapest] + 2 * 4 * prices[cheapest])
    code, _, err = harchos("simulate", *world, "--policy", "run-now-cheapest")
    assert (code, "run-now-cheapest needs prices" in err) == (1, True)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--policy", "region-windows"), "did you mean 'region-window'?"),
        (("--policy", "run-now", "--forecast", "blend"), "--forecast: run-now does not look ahead"),
        (("--policy", "oracle", "--replan", "1h"), "--replan: oracle does not look ahead"),
        (("--policy", "wait-window", "--replan", "90m"), "--replan 90m: not a number of whole hours"),
        (("--policy", "wait-window", "--replan", "soon"), "--replan: "),
        (("--policy", "wait-window"), "job 'a' (line 2) arrives 2 h after the signal's first sample"),
        (("--policy", "run-now", "--gpu", "H999"), "no zone of the signal has an on-demand offer"),
    ],
)
def test_what_means_nothing_is_refused(
    harchos: Harchos, world: tuple[str, ...], options: tuple[str, ...], what: str
) -> None:
    code, out, err = harchos("simulate", *world, *options)
    assert (code, out) == (1, "")
    assert what in err


def test_a_bad_jobs_file_is_refused_with_its_lines(
    harchos: Harchos, world: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "jobs.csv").write_text(f"{HEADER}\na,2,4,5,1,1,false,DE\nb,1,4,30,2,-1,true,IT\n")
    code, _, err = harchos("simulate", *world, "--policy", "run-now")
    assert code == 1
    for line in ("jobs.csv:2: deadline: ", "jobs.csv:3: power_kw: ", "jobs.csv:3: home_zone: "):
        assert line in err
