"""`harchos report` reads the ledger and writes what it is asked for."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from harchos_infra.cli.main import app
from harchos_infra.errors import HarchosError
from harchos_infra.runs.ledger import Ledger
from support.records import KWH, NOW, START, plan

RUN = "digits-1a2b3c"


@pytest.fixture
def ledger(tmp_path, monkeypatch):
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    return Ledger.open()


@pytest.fixture
def rehearsed(ledger):
    """A rehearsal of two minutes, settled."""
    lease = ledger.add_run(
        {
            "id": RUN,
            "workload": "digits",
            "type": "training",
            "plan_hash": "0",
            "workload_hash": "0",
            "rehearsal": True,
            "schedule_offset_s": (START - NOW).total_seconds(),
            "speed": 1.0,
            "ttl_s": 3600.0,
            "phase": "done",
            "desired": "run",
            "outcome": "succeeded",
            "next_at": 0.0,
            "created_at": NOW.timestamp(),
            "finished_at": (NOW + timedelta(minutes=2)).timestamp(),
            "intensities": {
                "SE-SE3": {"start": START.isoformat(), "gco2_per_kwh": [20.0], "basis": "replay of 2022"}
            },
            "units": {},
            "outputs": [],
        },
        plan(),
        owner="test",
    )
    hub = f"{RUN}-h1"
    ledger.intend_hub(
        lease,
        {
            "hub": hub,
            "segment": 0,
            "place": plan()["chosen"]["segments"][0],
            "mailbox": "file:///mailbox",
            "state": "gone",
            "identity": "",
            "created_at": NOW.timestamp(),
            "expires_at": (NOW + timedelta(hours=1)).timestamp(),
            "gone_at": (NOW + timedelta(minutes=2)).timestamp(),
        },
        ("provision", hub),
    )
    at = (NOW + timedelta(minutes=2)).timestamp()
    ledger.add_measurements(
        lease,
        [
            {
                "hub": hub,
                "at": at,
                "seconds": 120.0,
                "joules": 0.01 * KWH,
                "basis": "modelled",
                "by": "cpu-model",
            }
        ],
        hub=hub,
        read=[1],
    )
    return lease


def invoke(*arguments):
    return CliRunner().invoke(app, ["report", *arguments], catch_exceptions=False)


def test_the_latest_run_is_reported_as_json(rehearsed):
    found = json.loads(invoke("--format", "json").stdout)
    assert found["run"]["id"] == RUN
    assert found["realised"]["carbon"]["operationalGco2e"] == pytest.approx(0.01 * 1.1 * 20)
    assert found["realised"]["cost"]["computeUsd"] == pytest.approx(0.8048 * 2 / 60)


@pytest.mark.parametrize("format_", ["table", "json", "markdown", "html"])
def test_every_format_says_that_it_is_a_rehearsal(rehearsed, format_):
    assert "rehearsal: energy is of this machine, not of g6.xlarge" in invoke(RUN, "-o", format_).stdout


def test_a_report_is_written_to_a_file_and_the_note_says_rehearsal(rehearsed, tmp_path):
    file = tmp_path / "report.html"
    result = invoke(RUN[:8], "--format", "html", "--out", str(file))
    assert file.read_text().startswith("<!doctype html>")
    assert result.stdout == ""
    assert "rehearsal" in result.stderr


def test_an_unknown_run_and_an_unwritable_file_are_named(rehearsed, tmp_path):
    with pytest.raises(HarchosError, match="no run named 'elsewhere'"):
        invoke("elsewhere")
    with pytest.raises(HarchosError, match=r"missing/report.html"):
        invoke(RUN, "--out", str(tmp_path / "missing" / "report.html"))


def test_without_a_run_there_is_nothing_to_report(ledger):
    with pytest.raises(HarchosError, match="no run yet"):
        invoke()
