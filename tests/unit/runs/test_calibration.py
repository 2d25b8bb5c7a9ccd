"""Which runs count as measured, for what, and on which machine."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harchos_infra.cli.main import app
from harchos_infra.errors import HarchosError
from harchos_infra.planner.measured import Figure, Key, Machine, Measures
from harchos_infra.runs.calibration import (
    NEWEST,
    experiences,
    forecast_errors,
    hub_figures,
    read_calibration,
)
from harchos_infra.runs.ledger import Ledger

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
HERE = f"uid 0 on {os.uname().nodename}"
CLOUD = {"provider": "aws", "region": "eu-north-1", "zone": "SE", "instanceType": "g6.xlarge"}
LOCAL = {"provider": "local", "region": "local", "zone": "DE", "instanceType": "this-machine"}
MACHINE = Machine("aws", "g6.xlarge")
THIS = Machine("local", "this-machine")


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))


def row(
    seconds: float, watts: float, basis: str = "measured", by: str = "rapl", gpu_watts: float = 0.0
) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "joules": seconds * watts,
        "gpu_joules": seconds * gpu_watts,
        "basis": basis,
        "by": by,
    }


def ended(
    run: str = "a-1",
    *,
    hubs: int = 1,
    watts: float = 50.0,
    basis: str = "measured",
    run_s: float = 100.0,
    start_s: float = 20.0,
    segment: dict[str, str] = CLOUD,
    provisions: int = 1,
    attempt: int = 1,
    identity: str = HERE,
    rows: list[dict[str, Any]] | None = None,
    **changes: Any,
) -> None:
    """Write a finished run to the ledger, its hubs with the same figures."""
    ledger = Ledger.open()
    values = {
        "id": run, "workload": "a", "type": "training", "work": "w", "plan_hash": run, "workload_hash": "y",
        "rehearsal": False, "schedule_offset_s": 0.0, "ttl_s": 60.0, "phase": "done", "desired": "run",
        "outcome": "succeeded", "next_at": 0.0, "created_at": START.timestamp(), "intensities": {},
        "units": {}, "outputs": [], **changes,
    }  # fmt: skip
    lease = ledger.add_run(values, {"chosen": {"segments": [segment]}}, owner="x")
    created = START + timedelta(seconds=len(ledger.runs()))
    begun = created + timedelta(seconds=start_s)
    status = {
        "attempt": attempt,
        "job_started_at": begun.isoformat(),
        "finished_at": (begun + timedelta(seconds=run_s)).isoformat(),
    }
    for number in range(1, hubs + 1):
        hub = {
            "hub": f"{run}-h{number}", "segment": 0, "state": "gone", "identity": identity,
            "created_at": created.timestamp(), "expires_at": 0.0,
        }  # fmt: skip
        ledger.intend_hub(lease, hub, ("hub", ""))
        for _ in range(provisions):
            ledger.intend(lease, "provision", {})
        ledger.update_hub(lease, hub["hub"], **hub_figures(status, rows or [row(10.0, watts, basis)]))


def measures(machine: Machine = MACHINE, work: str = "w") -> Measures:
    return read_calibration().entries.get(Key("a", work, machine), Measures())


def figure(*values: float) -> Figure | None:
    return Figure.of(values)


def near(found: Figure | None, expected: Figure | None) -> bool:
    assert found is not None
    assert expected is not None
    return found.n == expected.n and found.mean == pytest.approx(expected.mean, abs=1e-3)


def test_power_run_time_and_start_up_are_counted_with_their_spread() -> None:
    for number, watts in enumerate((46.0, 50.0, 54.0)):
        ended(f"a-{number}", watts=watts, run_s=100.0 + number, start_s=20.0 + number)
    found = measures()
    assert found.watts == figure(46.0, 50.0, 54.0)
    assert near(found.run_s, figure(100.0, 101.0, 102.0))
    assert near(found.start_s, figure(20.0, 21.0, 22.0))
    assert found.watts is not None
    assert found.watts.deviation == pytest.approx(4.0)


def test_without_a_ledger_there_is_nothing_and_none_is_made(tmp_path: Path) -> None:
    assert read_calibration().entries == {}
    assert forecast_errors() == []
    assert not (tmp_path / "home").exists()


def test_modelled_watts_are_never_taken_for_measured() -> None:
    ended(basis="modelled")
    assert measures().watts is None
    assert measures().run_s is not None
    assert experiences()[Key("a", "w", MACHINE)].unmeasured == {"rapl": 1}


@pytest.mark.parametrize(("measured_s", "counts"), [(89.0, False), (91.0, True)])
def test_real_meters_must_have_covered_nine_tenths_and_only_their_rows_count(
    measured_s: float, counts: bool
) -> None:
    rows = [row(measured_s, 7.0), row(100 - measured_s, 999.0, "modelled", "cpu-model")]
    ended(rows=rows)
    assert measures().watts == (figure(7.0) if counts else None)


def test_measured_gpus_of_a_modelled_host_are_kept_as_what_they_are() -> None:
    ended(rows=[row(10.0, 90.0, "modelled", "nvml+cpu-model", gpu_watts=60.0)])
    assert (measures().watts, measures().gpu_watts) == (None, figure(60.0))
    ended("a-2", rows=[row(10.0, 90.0, "modelled", "gpu-model+cpu-model", gpu_watts=70.0)])
    assert measures().gpu_watts == figure(60.0)


def test_a_rehearsal_measures_this_machine_and_never_the_cloud_that_was_planned() -> None:
    ended(rehearsal=True)
    assert list(read_calibration().entries) == [Key("a", "w", THIS)]
    assert measures(MACHINE) == Measures()
    assert measures(THIS).watts == figure(50.0)


def test_this_machine_is_the_one_that_it_was_measured_on() -> None:
    ended("a-1", segment=LOCAL, identity="uid 0 on elsewhere")
    ended("a-2", segment=LOCAL, watts=60.0)
    assert measures(THIS).watts == figure(60.0)


@pytest.mark.parametrize("outcome", ["failed", "stopped", "expired"])
def test_a_run_that_did_not_do_its_work_gives_only_its_start_up(outcome: str) -> None:
    ended(outcome=outcome)
    found = measures()
    assert (found.watts, found.run_s) == (None, None)
    assert near(found.start_s, figure(20.0))


def test_a_service_gives_watts_and_start_up_and_no_run_time() -> None:
    ended(type="inference", outcome="stopped")
    found = measures()
    assert found.watts == figure(50.0)
    assert found.run_s is None


def test_a_hub_that_was_made_in_two_attempts_gives_no_start_up() -> None:
    ended(provisions=2)
    assert measures().start_s is None
    assert measures().run_s is not None


def test_a_job_that_was_started_twice_gives_no_times() -> None:
    ended(attempt=2)
    found = measures()
    assert (found.run_s, found.start_s) == (None, None)
    assert found.watts == figure(50.0)


def test_hubs_that_did_a_part_of_the_job_each_give_watts_and_no_run_time() -> None:
    ended(hubs=2, units={"tokens": 1000.0})
    (known,) = experiences().values()
    assert (known.measures.run_s, known.throughput) == (None, {})
    assert known.measures.watts is not None


def test_throughput_is_units_by_run_time() -> None:
    ended(units={"rows": 500.0}, run_s=100.0)
    assert near(experiences()[Key("a", "w", MACHINE)].throughput["rows"], figure(5.0))


def test_the_newest_runs_count() -> None:
    for number in range(NEWEST + 2):
        ended(f"a-{number:02}", watts=1.0 if number < 2 else 50.0)
    found = measures().watts
    assert found is not None
    assert (found.n, found.mean) == (NEWEST, 50.0)


def test_runs_of_another_work_or_workload_and_those_under_way_are_apart() -> None:
    ended("a-1")
    ended("a-2", work="v", watts=70.0)
    ended("b-1", workload="b", watts=80.0)
    ended("a-3", phase="settle", watts=90.0)
    assert measures().watts == figure(50.0)
    assert measures(work="v").watts == figure(70.0)
    assert {key.workload for key in read_calibration("a").entries} == {"a"}


def test_a_ledger_of_before_is_migrated_and_its_runs_give_nothing(tmp_path: Path) -> None:
    import sqlite3

    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine

    import harchos_infra.runs.ledger as ledger_module

    home = tmp_path / "home"
    home.mkdir()
    config = Config()
    config.set_main_option("script_location", str(Path(ledger_module.__file__).parent / "migrations"))
    with create_engine(f"sqlite:///{home / 'ledger.db'}").begin() as db:
        config.attributes["connection"] = db
        command.upgrade(config, "0001")
    with sqlite3.connect(home / "ledger.db") as db:
        db.execute(
            "INSERT INTO run VALUES ('a-1','a','batch','[{}]','p','w',0,0,NULL,1,'done','run','succeeded',"
            "NULL,0,1,2,NULL,0,1,'{}','{}','[]')"
        )
    assert read_calibration().entries == {}
    assert [row["id"] for row in Ledger.open().runs()] == ["a-1"]


def test_a_file_that_is_no_ledger_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "ledger.db").write_bytes(b"this is not a database" * 100)
    with pytest.raises(HarchosError, match=r"ledger\.db: cannot be read as a ledger"):
        read_calibration()


def test_the_next_plan_of_the_same_work_takes_the_figures(tmp_path: Path) -> None:
    import json

    from harchos_infra.settings import set_value
    from harchos_infra.workload.loader import load
    from harchos_infra.workload.work import work_sha256

    set_value("local.zone", "DE")
    path = tmp_path / "a.json"
    document = {
        "apiVersion": "harchos.dev/v1",
        "kind": "Workload",
        "metadata": {"name": "a"},
        "spec": {
            "type": "batch",
            "command": "true",
            "env": [{"name": "X", "value": "1"}],
            "duration": "2h",
            "placement": {"providers": ["local"]},
        },
    }
    path.write_text(json.dumps(document))
    ended(segment=LOCAL, work=work_sha256(load(path).workload), run_s=100.0, start_s=20.0)
    shown = CliRunner().invoke(app, ["plan", str(path), "-o", "json"], catch_exceptions=False).stdout
    made = json.loads(shown)
    segment = made["chosen"]["segments"][0]
    assert (segment["powerWatts"], segment["powerBasis"][:31]) == (50.0, "measured, n=1, spread unknown; ")
    lasted = datetime.fromisoformat(segment["end"]) - datetime.fromisoformat(segment["start"])
    assert lasted == timedelta(seconds=120)
    assert made["inputs"]["measured"]["machines"][0]["powerWatts"]["n"] == 1


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["calibrate", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_command_says_what_would_fill_it() -> None:
    shown = invoke()
    assert shown.count("nothing yet") == 2
    assert "harchos apply" in shown
    assert '"measured": []' in invoke("--format", "json")


def test_the_command_shows_mean_count_and_spread_of_each_figure() -> None:
    ended("a-1", watts=46.0, units={"rows": 500.0})
    ended("a-2", watts=54.0)
    shown = [line.split() for line in invoke().splitlines()]
    assert ["a", "w", "aws", "g6.xlarge", "power", "50", "W", "2", "+-5.66", "W", "46", "54"] in shown
    assert ["a", "w", "aws", "g6.xlarge", "rows/s", "5", "/s", "1", "unknown", "5", "5"] in shown
    assert "nothing yet" in invoke("another-workload")


def test_the_command_says_which_runs_were_only_modelled() -> None:
    ended(basis="modelled")
    assert "1 run modelled by rapl" in invoke()
