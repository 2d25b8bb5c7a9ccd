"""The page of a simulation: totals that add up, jobs drawn where they ran, one small inert file."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from harchos_infra.report.figures.delays import delays
from harchos_infra.report.figures.emissions import emissions
from harchos_infra.report.sample import JOBS_DRAWN, WEEK_H, Sample
from harchos_infra.report.simulation_page import render_simulation_page
from harchos_infra.report.simulation_sections import JOBS_SHOWN, jobs, totals, zones
from harchos_infra.report.span_hours import SpanHours
from harchos_infra.simulation.jobs import read_jobs
from harchos_infra.simulation.outlook import Perfect
from harchos_infra.simulation.policy import POLICIES
from harchos_infra.simulation.run import simulate
from harchos_infra.simulation.series import read_series
from support.page import EVIL, Page, check_inert, check_sound
from support.simulations import write_jobs, write_signal


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    signal = write_signal(tmp_path_factory.mktemp("grid"))
    series = read_series([signal])
    known = {}

    def simulated(policy="migrate", count=40, prefix="job"):
        key = policy, count, prefix
        if key not in known:
            path = write_jobs(tmp_path_factory.mktemp("jobs"), count, prefix)
            known[key] = simulate(read_jobs(path, series), series, POLICIES[policy], Perfect(series))
        return known[key]

    return simulated


@pytest.mark.parametrize("policy", ["run-now", "wait-window", "migrate", "best-static"])
def test_every_policy_makes_a_sound_and_inert_page(run, policy):
    text = render_simulation_page(run(policy))
    check_sound(text)
    check_inert(text)


def test_a_single_job_is_a_page_too(run):
    check_sound(render_simulation_page(run("migrate", 1)))


def test_hours_of_the_spans_add_up_to_the_account(run):
    result = run()
    found = SpanHours.of(result.jobs, result.series, result.realised.spans)
    account = result.realised.account
    assert found.gco2.sum() == pytest.approx(account.compute_g.sum())
    assert found.kwh.sum() == pytest.approx(account.compute_kwh.sum())
    assert found.hourly_gco2(result.series.hours).sum() == pytest.approx(account.compute_g.sum())
    kwh, grams = found.by_zone(len(result.series.zones))
    assert (kwh.sum(), grams.sum()) == pytest.approx((account.compute_kwh.sum(), account.compute_g.sum()))


def test_an_hour_has_the_grams_of_what_runs_in_it(run):
    result = run("wait-window")
    hourly = SpanHours.of(result.jobs, result.series, result.realised.spans).hourly_gco2(result.series.hours)
    spans = result.realised.spans
    hour = int(spans.start_s[7]) // 3600
    expected = 0.0
    for job, zone, start, end in zip(spans.job, spans.zone, spans.start_s, spans.end_s, strict=True):
        seconds = max(0, min(end, 3600 * (hour + 1)) - max(start, 3600 * hour))
        expected += result.jobs.kw[job] * seconds / 3600 * result.series.gco2_per_kwh[zone, hour]
    assert hourly[hour] == pytest.approx(expected)


def test_the_curves_are_the_running_of_each_policy(run):
    found = emissions(run(), 976.0, "t")
    assert found.headers == ("from, UTC", "run-now", "oracle", "migrate")
    classes = [a["class"] for tag, a in Page(found.drawing).elements if tag == "path"]
    assert classes == ["curve baseline", "curve grid", "curve plan"]


def test_every_job_is_in_one_tower_of_the_delays(run):
    result = run("wait-window")
    found = delays(result, 976.0, "d")
    assert sum(int(row[2]) for row in found.rows) == len(result.jobs)
    on_time = float((result.realised.account.delay_s == 0).mean())
    assert f"{100 * on_time:.1f}".removesuffix(".0") in found.caption


def test_where_no_job_is_delayed_that_is_said(run):
    assert delays(run("run-now"), 976.0, "d") is None
    assert "No job is delayed." in Page(render_simulation_page(run("run-now"))).texts


def test_the_jobs_on_the_map_begin_and_end_within_its_week_and_come_from_home(run):
    result = run()
    sample = Sample.of(result)
    assert 1 < len(sample.routes) <= JOBS_DRAWN
    hours = len(sample.atlas.zones[0].gco2_per_kwh)
    assert hours <= WEEK_H
    start, end = sample.atlas.start, sample.atlas.start + timedelta(hours=hours)
    for route in sample.routes:
        origin, *ran = route.stretches
        job = result.jobs.ids.index(route.name)
        assert origin.start == origin.end == result.series.moment(result.jobs.arrival_s[job])
        assert origin.zone == result.series.zones[result.jobs.home[job]]
        assert all(start <= stretch.start < stretch.end <= end for stretch in ran)
        seconds = sum((stretch.end - stretch.start).total_seconds() for stretch in ran)
        assert seconds == pytest.approx(result.jobs.duration_s[job])


def test_the_totals_name_every_policy_with_its_saving(run):
    result = run()
    assert [row[0] for row in totals(result).rows] == ["this policy", "run-now", "greenest-now", "oracle"]
    saved = 100 * result.saving(result.realised)
    assert totals(result).rows[0][3] == f"+{saved:.0f} %"
    assert Page(render_simulation_page(result)).texts.count(f"+{saved:.0f} %") >= 2


def test_energy_by_zone_is_that_of_the_account(run):
    result = run()
    rows = zones(result).rows
    assert rows[0][0] == "CLEAN"
    assert {row[0] for row in rows} == {result.series.zones[z] for z in np.unique(result.jobs.home)} | {
        "CLEAN"
    }


def test_caveats_stand_above_every_figure(run):
    text = render_simulation_page(run())
    assert text.index("the forecast is perfect: an upper bound") < text.index('role="img"')


def test_whatever_users_write_is_shown_not_run(run):
    text = render_simulation_page(run("migrate", 6, EVIL.replace(",", "")))
    assert not {"script", "img"} & {tag for tag, _ in Page(text).elements}


def test_many_jobs_stay_a_small_page(run):
    result = run("run-now", 600)
    assert len(jobs(result).rows) == JOBS_SHOWN
    assert jobs(result).title == "The first 200 of 600 jobs"
    assert len(render_simulation_page(result)) < 500_000
