"""The web page: one file, well formed, inert, and readable without its drawings."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from harchos_infra.report.account import account
from harchos_infra.report.html import render_html
from harchos_infra.report.plot import STEPS_S, LogScale, log_ticks, ticks, time_ticks
from harchos_infra.runs.record import Event
from support.page import EVIL, Page, check_inert, check_sound
from support.records import START, hub, measurement, plan, record, schedule, segment


def page(r=None, **changes):
    r = r or record(**changes)
    return render_html(r, account(r))


def states():
    mixed = tuple(
        measurement(
            START + timedelta(seconds=5 * (i + 1)), 5, 0.0002, basis="measured" if i % 9 else "modelled"
        )
        for i in range(900)
    )
    return {
        "finished": record(measurements=mixed),
        "rehearsal": record(rehearsal=True, hubs=(hub(rehearsal=True),)),
        "living, not settled": record(
            hubs=(hub(gone_at=None),), outcome=None, finished_at=None, intensities={}
        ),
        "no hub": record(hubs=(), measurements=(), outcome="failed", reason="terraform apply failed"),
        "transfer": record(plan=plan(chosen=schedule(segment(), transfer=(1.0, 60.0), usd=0.2))),
        "alone on the front": record(
            plan=plan(baselines={"runNowCheapest": None, "runNowHome": None}, frontier=[], rejected=[])
        ),
        "free and clean": record(
            plan=plan(
                chosen=schedule(segment(priceUsdHour=0.0, powerWatts=0.0, embodiedGco2eHour=0.0)),
                baselines={},
                frontier=[],
            )
        ),
    }


@pytest.mark.parametrize("name", states())
def test_every_state_of_a_run_makes_a_well_formed_page(name):
    check_sound(page(states()[name]))


@pytest.mark.parametrize("name", states())
def test_the_page_loads_nothing_and_runs_nothing(name):
    check_inert(page(states()[name]))


def test_whatever_users_and_jobs_write_is_shown_not_run():
    lost = plan()["rejected"][0] | {"detail": EVIL, "reason": EVIL}
    hostile = replace(
        record(
            workload=EVIL,
            reason=EVIL,
            id=EVIL,
            events=(Event(START, EVIL, EVIL),),
            outputs=({"path": EVIL, "bytes": 1, "sha256": "0"},),
            plan=plan(
                chosen=schedule(segment(region=EVIL, instanceType=EVIL, intensityBasis=EVIL)),
                rejected=[lost],
                inputs={EVIL: EVIL, "objective": {"carbon": EVIL}},
            ),
        ),
        rehearsal=True,
    )
    found = Page(page(hostile))
    assert not {"script", "img"} & {tag for tag, _ in found.elements}
    assert EVIL in found.texts


def test_every_drawing_has_a_title_a_description_and_its_data_as_a_table():
    found = Page(page(states()["finished"])).elements
    drawings = [attributes for tag, attributes in found if tag == "svg" and attributes.get("role") == "img"]
    ids = {attributes.get("id") for _, attributes in found}
    assert len(drawings) == 10  # five figures, each wide and narrow
    for attributes in drawings:
        assert set(attributes["aria-labelledby"].split()) <= ids
    assert sum(tag == "details" for tag, _ in found) == 5


def test_a_rehearsal_says_so_above_every_figure():
    text = page(states()["rehearsal"])
    said = text.index("rehearsal: energy is of this machine, not of g6.xlarge")
    assert said < text.index("Energy, rehearsed here") < text.index('role="img"')


def test_measured_and_modelled_power_are_drawn_apart():
    text = page(states()["finished"])
    assert 'class="area measured"' in text
    assert 'class="area modelled"' in text


def test_a_long_run_stays_a_small_page():
    many = tuple(measurement(START + timedelta(seconds=s), 1, 0.0001) for s in range(1, 7200))
    assert len(page(measurements=many)) < 300_000


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 10, [0, 2.5, 5, 7.5, 10]),
        (0, 430, [0, 200, 400, 600]),
        (0.02, 0.03, [0.02, 0.0225, 0.025, 0.0275, 0.03]),
        (5, 5, [2, 4, 6, 8]),
    ],
)
def test_ticks_are_round_and_cover_the_values(low, high, expected):
    assert ticks(low, high, 4) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.1, 1, [0.1, 0.2, 0.5, 1]),
        (0.078, 45, [0.05, 0.1, 1, 10, 50]),
        (3, 3, [2, 5]),
        (1, 1, [1, 2]),
        (2e-5, 9e4, [2e-5, 1e-4, 1e-3, 0.01, 0.1, 1, 10, 100, 1e3, 1e4, 1e5]),
    ],
)
def test_logarithmic_ticks_are_round_and_cover_the_values(low, high, expected):
    assert log_ticks(low, high, 4) == pytest.approx(expected)


def test_a_logarithmic_scale_gives_equal_ratios_equal_room():
    scale = LogScale(1, 1000, 0, 300)
    assert [scale(v) for v in (1, 10, 100, 1000)] == pytest.approx([0, 100, 200, 300])


@pytest.mark.parametrize("seconds", [3, 50, 600, 7200, 86_400, 30 * 86_400, 400 * 86_400])
def test_time_ticks_are_round_few_and_within(seconds):
    start = datetime(2026, 11, 23, 9, 41, 12, tzinfo=UTC)
    found = [at for at, _ in time_ticks(start, start + timedelta(seconds=seconds), 8)]
    assert 2 <= len(found) <= 9
    assert all(start <= at <= start + timedelta(seconds=seconds) for at in found)
    step = (found[1] - found[0]).total_seconds()
    assert step in STEPS_S or step % STEPS_S[-1] == 0
