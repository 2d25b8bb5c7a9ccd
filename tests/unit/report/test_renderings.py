"""The report as text, Markdown and JSON."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from harchos_infra.report.account import account
from harchos_infra.report.document import document
from harchos_infra.report.markdown import render_markdown
from harchos_infra.report.table import render_table
from support.records import START, home, hub, measurement, plan, record, schedule, segment

REHEARSAL = "rehearsal: energy is of this machine, not of g6.xlarge"


def variants():
    long_names = hub(
        hub="a-very-long-workload-name-indeed-for-a-table-1a2b3c-h12",
        provider="azure",
        region="australiasoutheast",
        instance_type="Standard_NC24ads_A100_v4",
    )
    return {
        "finished": record(),
        "rehearsal": record(rehearsal=True, hubs=(hub(rehearsal=True),)),
        "living": record(hubs=(hub(gone_at=None),), outcome=None, finished_at=None, phase="run"),
        "no hub": record(hubs=(), measurements=(), outcome="failed", reason="terraform apply failed"),
        "not metered": record(measurements=()),
        "no embodied, no intensity": record(hubs=(hub(embodied_gco2e_hour=None),), intensities={}),
        "transfer": record(plan=plan(chosen=schedule(segment(), transfer=(1.0, 60.0), usd=0.2))),
        "no home": record(plan=plan(baselines={"runNowCheapest": None, "runNowHome": None})),
        "long names": record(hubs=(long_names,)),
    }


@pytest.mark.parametrize("name", variants())
def test_every_state_of_a_run_renders_within_80_columns(name):
    r = variants()[name]
    lines = render_table(r, account(r)).splitlines()
    assert max(map(len, lines)) <= 80
    assert "nan" not in "\n".join(lines).lower()


@pytest.mark.parametrize("name", variants())
def test_every_state_of_a_run_renders_as_json_without_surprises(name):
    r = variants()[name]
    text = json.dumps(document(r, account(r)), allow_nan=False)
    assert json.loads(text)["schema"] == "harchos.report/1"


def test_a_rehearsal_says_so_in_every_format():
    r = variants()["rehearsal"]
    a = account(r)
    for text in (render_table(r, a), render_markdown(r, a), json.dumps(document(r, a))):
        assert REHEARSAL in text
    assert "realised (rehearsal)" in render_table(r, a)
    assert "not compared" in render_table(r, a)


def test_a_rehearsal_never_claims_a_realised_saving():
    r = variants()["rehearsal"]
    assert [b["realisedSaving"] for b in document(r, account(r))["baselines"]] == [None, None]


def test_missing_embodied_carbon_reads_not_published():
    r = record(hubs=(hub(embodied_gco2e_hour=None),))
    text = render_table(r, account(r))
    assert "not published" in text
    assert "Without M" in text


def test_a_living_hub_reads_still_alive_with_the_moment_it_is_counted_to():
    r = variants()["living"]
    text = render_table(r, account(r, START + timedelta(hours=5)))
    assert "still alive: counted up to 2026-11-23 19:00:00 UTC" in " ".join(text.split())


def test_transfer_is_shown_as_a_range():
    r = variants()["transfer"]
    assert "1.00 to 60.0 g" in render_table(r, account(r))


def test_a_negative_saving_keeps_its_sign():
    dirty = schedule(segment(intensityGco2PerKwh=[900.0, 900.0]))
    r = record(plan=plan(chosen=dirty))
    assert "−123 g (−108 %)" in " ".join(render_table(r, account(r)).split())


def test_nothing_is_called_avoided_and_every_saving_names_its_method():
    r = record()
    for text in (render_table(r, account(r)), render_markdown(r, account(r))):
        assert "avoided" not in text
        assert "Planned against planned" in text
        assert "frozen before optimising" in text


def test_markdown_is_inert():
    r = record(
        reason="x",
        plan=plan(rejected=[plan()["rejected"][0] | {"detail": "<script>alert(1)</script> | `x`"}]),
    )
    text = render_markdown(r, account(r))
    assert "<script>" not in text
    assert r"\<script\>alert(1)\</script\> \| \`x\`" in text


def test_the_json_schema_is_stable():
    r = record(measurements=(measurement(START + timedelta(hours=1), 3600, 0.25),))
    doc = document(r, account(r))
    assert list(doc) == [
        "schema", "run", "asOf", "alive", "planned", "realised", "baselines", "sci", "settled",
        "intensities", "hubs", "units",
        "outputs", "metrics", "events", "rejected", "inputs", "caveats", "method",
    ]  # fmt: skip
    assert set(doc["realised"]) == {
        "start", "finish", "durationS", "startDelayS", "finishDelayS", "energyKwh",
        "energyBeforePueKwh", "energyWithoutIntensityKwh", "gco2PerKwh", "carbon", "cost",
        "meters", "coverage",
    }  # fmt: skip
    assert set(doc["realised"]["carbon"]) == {
        "operationalGco2e", "embodiedGco2e", "embodiedUnpublished", "transferGco2e", "totalGco2e",
    }  # fmt: skip
    assert set(doc["baselines"][0]) == {
        "name", "schedule", "plannedSaving", "realisedSaving", "realisedReason", "planFinishesLaterS",
    }  # fmt: skip
    assert doc["planned"]["start"] == "2026-11-23T14:00:00Z"


def test_a_saving_of_a_run_that_was_not_metered_throughout_is_called_an_upper_bound():
    r = record(measurements=(measurement(START + timedelta(hours=1), 3600, 0.25),))
    assert "the gCO2e saved is an upper bound" in render_table(r, account(r))
    assert "upper bound" not in render_table(record(), account(record()))


def test_a_saving_without_embodied_carbon_says_so_and_the_totals_stay_whole():
    r = record(plan=plan(baselines={"runNowHome": schedule(home(embodiedGco2eHour=None))}))
    text = " ".join(render_table(r, account(r)).split())
    assert "leaves embodied carbon out on both sides" in text
    assert "total gCO2e 26.1 g 94.4 g" in text
    assert "the plan saves +88.3 g (+94 %)" in text
