"""Live sources as a user meets them: `carbon`, `plan`, fallback, exit code 5, keys that are never shown."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from support.command import Document, Harchos
from support.fake_carbon import SECRETS, FakeCarbon, gives, says

EUROPE = "  placement: {regions: [aws/eu-central-1, aws/eu-west-3, aws/eu-north-1]}\n"
BASIS = {
    "electricitymaps": ("DE", "average life-cycle consumption-based"),
    "watttime": ("US-CAL-CISO", "marginal direct consumption-based"),
    "gb": ("GB", "average direct consumption-based"),
    "energycharts": ("DE", "average unstated unstated-based"),
}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCarbon]:
    with FakeCarbon() as server:
        for variable, value in server.environment().items():
            monkeypatch.setenv(variable, value)
        yield server


def this_hour() -> datetime:
    return datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


@pytest.mark.parametrize("name", BASIS)
def test_carbon_shows_as_much_as_a_source_forecasts(name: str, harchos: Harchos, fake: FakeCarbon) -> None:
    zone, quantity = BASIS[name]
    code, out, err = harchos("carbon", zone, "--signal", name)
    assert code == 0, err
    hours = 48 if name in ("gb", "energycharts") else 72
    shown = re.search(rf"zone {zone}, (\d+) h from", out)
    assert shown is not None
    assert int(shown[1]) in (hours, hours + 1)
    assert quantity in out
    assert "of the source's outlook read" in out
    assert "Not a forecast" not in err


@pytest.mark.parametrize(("name", "zone"), [("eia", "US-CAL-CISO"), ("entsoe", "SE-SE3")])
def test_carbon_of_past_hours_from_a_source_without_forecast(
    name: str, zone: str, harchos: Harchos, fake: FakeCarbon
) -> None:
    start = f"{this_hour() - timedelta(hours=24):%Y-%m-%dT%H:%MZ}"
    code, out, err = harchos("carbon", zone, "--signal", name, "--now", start, "--hours", "12")
    assert code == 0, err
    assert "average life-cycle production-based" in out
    code, _, err = harchos("carbon", zone, "--signal", name)
    assert code == 1
    assert f"{name} makes no forecast" in err


def test_carbon_asked_for_more_than_there_is_says_how_much_there_is(
    harchos: Harchos, fake: FakeCarbon
) -> None:
    code, out, err = harchos("carbon", "GB", "--signal", "gb", "--hours", "96")
    assert (code, out) == (1, "")
    assert "short of the 96 h wanted" in err
    assert "hint: ask for 48 h" in err


def test_a_live_plan_says_where_its_figures_are_from_and_how_old_they_are(
    harchos: Harchos, fake: FakeCarbon, document: Document
) -> None:
    path = document(EUROPE + "  deadline: 20h\n")
    code, out, err = harchos("plan", path, "--signal", "electricitymaps", "--format", "json")
    assert code == 0, err
    made = json.loads(out)
    signal = made["inputs"]["signal"]
    assert signal["name"] == "electricitymaps"
    assert 0 <= signal["ageSeconds"] < 60
    assert set(signal["zones"]) == {"DE", "FR", "SE-SE3"}
    segment = made["chosen"]["segments"][0]
    start = datetime.fromisoformat(segment["start"]).replace(minute=0, second=0)
    assert segment["intensityGco2PerKwh"][0] == pytest.approx(fake.hours(segment["zone"], start, 1)[0])
    code, out, _ = harchos("plan", path, "--signal", "electricitymaps")
    assert "read up to" in " ".join(out.split())
    assert "replay" not in out


def test_zones_that_fell_back_are_a_warning_and_exit_code_5_where_the_choice_rests_on_them(
    harchos: Harchos, fake: FakeCarbon, document: Document
) -> None:
    fake.fail("zone=", gives({"message": "internal"}, 404), 99)
    path = document(EUROPE)
    code, out, err = harchos("plan", path, "--signal", "electricitymaps,replay")
    assert code == 5, err
    assert "warning: DE, FR, SE-SE3 fell back to replay: electricitymaps: 127.0.0.1" in out
    assert "the choice rests on zones that fell back" in err
    code, out, _ = harchos("plan", path, "--signal", "electricitymaps,replay", "--format", "json")
    assert code == 5
    arguments = ("--signal", "electricitymaps,replay", "--detailed-exitcode")
    assert harchos("plan", path, *arguments)[0] == 5
    fell_back = json.loads(out)["inputs"]["signal"]["fellBack"]
    assert {zone: fallen["to"] for zone, fallen in fell_back.items()} == dict.fromkeys(
        ("DE", "FR", "SE-SE3"), "replay"
    )


def test_carbon_says_that_a_zone_fell_back(harchos: Harchos, fake: FakeCarbon) -> None:
    fake.fail("zone=", says(404, "nothing"), 99)
    code, out, err = harchos("carbon", "DE", "--signal", "electricitymaps,replay", "--hours", "5")
    assert code == 0
    assert "replay of 2022" in out
    assert "warning: DE fell back to replay: no outlook: electricitymaps" in err
    assert "Not a forecast of these days" in err


def test_a_zone_that_fell_back_and_lost_leaves_the_exit_code_alone(
    harchos: Harchos, fake: FakeCarbon, document: Document
) -> None:
    fake.fail("zone=FR", says(404, "nothing"), 99)
    fake.grams = lambda place, at: 1.0  # type: ignore[method-assign]
    code, out, err = harchos(
        "plan",
        document(EUROPE + "  objective: greenest\n"),
        "--signal",
        "electricitymaps,replay",
        "-o",
        "json",
    )
    made = json.loads(out)
    assert list(made["inputs"]["signal"]["fellBack"]) == ["FR"]
    used = {
        s["zone"]
        for schedule in (made["chosen"], *made["frontier"], *made["baselines"].values())
        if schedule
        for s in schedule["segments"]
    }
    assert (code, "FR" in used) == (0, False), err
    assert any("FR fell back" in warning for warning in made["inputs"]["warnings"])


def test_without_a_fallback_a_zone_that_fails_is_an_excluded_candidate_with_the_reason(
    harchos: Harchos, fake: FakeCarbon, document: Document
) -> None:
    fake.fail("zone=DE", says(404, "nothing for you"), 99)
    code, out, err = harchos("plan", document(EUROPE), "--signal", "electricitymaps", "--format", "json")
    assert code == 0, err
    lost = [r for r in json.loads(out)["rejected"] if r["reason"] == "no-intensity"]
    assert {r["region"] for r in lost} == {"eu-central-1"}
    assert all("nothing for you" in r["detail"] for r in lost)


def test_marginal_never_falls_back_to_average(harchos: Harchos, fake: FakeCarbon, document: Document) -> None:
    fake.fail("watttime/v3", says(500), 999)
    code, out, _ = harchos("plan", document(EUROPE), "--signal", "watttime,replay", "--format", "json")
    made = json.loads(out)
    assert (code, made["decision"]) == (3, "reject")
    assert "not marginal direct" in made["nearestMiss"]


def test_a_plan_file_of_a_live_signal_is_checked_against_that_signal(
    harchos: Harchos, fake: FakeCarbon, document: Document, tmp_path: Path
) -> None:
    from harchos_infra.cli.planning import plan_or_replan, refuse_if_drifted
    from harchos_infra.errors import HarchosError

    out = tmp_path / "plan.json"
    assert harchos("plan", document(EUROPE), "--signal", "electricitymaps,replay", "--out", str(out))[0] == 0
    plan, _, signal = plan_or_replan(out)
    assert signal == "electricitymaps,replay"
    refuse_if_drifted(out, plan)
    for path in (tmp_path / "home" / "cache").rglob("*.json"):
        path.unlink()
    fake.grams = lambda place, at: 900.0  # type: ignore[method-assign]
    with pytest.raises(HarchosError, match="carbon intensity of its window"):
        refuse_if_drifted(out, plan)


def test_the_setting_signal_is_the_default_and_a_plan_keeps_what_it_was_made_with(
    harchos: Harchos, fake: FakeCarbon, document: Document, tmp_path: Path
) -> None:
    from harchos_infra.cli.planning import plan_or_replan

    out = tmp_path / "plan.json"
    assert harchos("plan", document(EUROPE), "--out", str(out))[0] == 0
    assert harchos("config", "set", "signal", "electricitymaps,replay")[0] == 0
    assert plan_or_replan(out)[2] == "replay"
    _, shown, _ = harchos("plan", document(EUROPE), "--format", "json")
    assert json.loads(shown)["inputs"]["signal"]["name"] == "electricitymaps,replay"
    code, _, err = harchos("config", "set", "signal", "electricitymap")
    assert code == 1
    assert "did you mean 'electricitymaps'?" in err


MISSING = {
    "electricitymaps": ("ELECTRICITYMAPS_TOKEN", "app.electricitymaps.com"),
    "watttime": ("WATTTIME_PASSWORD", "docs.watttime.org"),
    "eia": ("EIA_API_KEY", "DEMO_KEY"),
    "entsoe": ("ENTSOE_TOKEN", "transparency.entsoe.eu"),
}


@pytest.mark.parametrize("name", MISSING)
@pytest.mark.parametrize("with_fallback", ["", ",replay"])
def test_a_missing_key_is_an_error_that_says_where_to_get_one(
    name: str, with_fallback: str, harchos: Harchos, fake: FakeCarbon, monkeypatch: pytest.MonkeyPatch
) -> None:
    variable, where = MISSING[name]
    monkeypatch.delenv(variable)
    code, _, err = harchos("carbon", "US-CAL-CISO", "--signal", name + with_fallback)
    assert code == 1
    assert f"neither {variable} nor the setting" in err
    assert where in err
    assert fake.requests == []


@pytest.mark.parametrize(
    ("signal", "says_"),
    [
        ("electricitymaps,", "unknown signal 'electricitymaps,'"),
        ("gb,gb", "names one source twice"),
        ("gb,nonsense", "unknown signal 'nonsense'"),
        ("wattime", "did you mean 'watttime'?"),
        ("gb:somewhere", "unknown signal 'gb:somewhere'"),
    ],
)
def test_a_signal_that_means_nothing_is_refused(signal: str, says_: str, harchos: Harchos) -> None:
    code, _, err = harchos("carbon", "GB", "--signal", signal)
    assert code == 1
    assert says_ in err


def test_keys_from_the_settings_serve_and_are_not_listed(
    harchos: Harchos, fake: FakeCarbon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    token = fake.environment()["ELECTRICITYMAPS_TOKEN"]
    monkeypatch.delenv("ELECTRICITYMAPS_TOKEN")
    assert harchos("config", "set", "electricitymaps.token", token) == (0, "", "")
    assert (tmp_path / "home" / "config.yaml").stat().st_mode & 0o777 == 0o600
    assert harchos("carbon", "DE", "--signal", "electricitymaps")[0] == 0
    for format in ("table", "json"):
        _, out, _ = harchos("config", "list", "--format", format)
        assert token not in out
        assert "(hidden)" in out
    assert harchos("config", "get", "electricitymaps.token")[1] == f"{token}\n"


@pytest.mark.parametrize("key", ["two words", "naïve", "line\nbreak"])
def test_a_key_that_cannot_be_one_is_refused_before_it_is_sent(
    key: str, harchos: Harchos, fake: FakeCarbon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELECTRICITYMAPS_TOKEN", key)
    code, _, err = harchos("carbon", "DE", "--signal", "electricitymaps")
    assert code == 1
    assert "copy it again" in err
    assert key not in err


def test_no_key_is_in_any_output_or_file(
    harchos: Harchos, fake: FakeCarbon, document: Document, tmp_path: Path
) -> None:
    said = ""
    places = {"watttime": "US-CAL-CISO", "eia": "US-CAL-CISO", "entsoe": "DE", "electricitymaps": "DE"}
    start = f"{this_hour() - timedelta(hours=24):%Y-%m-%dT%H:%MZ}"
    for fault in (None, says(401, " ".join(SECRETS)), says(400, " ".join(SECRETS))):
        for name, zone in places.items():
            if fault is not None:
                fake.fail(name, fault, 3)
            said += "".join(map(str, harchos("carbon", zone, "--signal", name, "--now", start, "-H", "3")))
            said += "".join(
                map(str, harchos("plan", document(EUROPE), "--signal", f"{name},replay", "-o", "json"))
            )
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    for text in (said, *(path.read_text() for path in files)):
        assert not [secret for secret in (*SECRETS, "bearer-") if secret in text]


def test_replay_needs_neither_httpx_nor_tenacity(document: Document) -> None:
    program = (
        "import sys; from harchos_infra.cli.main import app; app(standalone_mode=False);"
        "print(sorted({'httpx', 'tenacity'} & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "plan", document(EUROPE)], capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"
