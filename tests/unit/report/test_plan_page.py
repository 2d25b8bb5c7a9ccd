"""The page of a plan: what was decided, drawn and said, and that it stays one small inert file."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pytest

from harchos_infra.catalog import Region
from harchos_infra.grid.signal import Basis, Intensity, NoIntensity
from harchos_infra.planner.plan import Plan
from harchos_infra.report.atlas import Atlas
from harchos_infra.report.plan_page import render_plan_page
from harchos_infra.report.section import Section
from support.page import EVIL, Page, check_inert, check_sound
from support.records import HORIZON, NOW, home, iso, plan, schedule, segment

HOUR = timedelta(hours=1)
GRAMS = {"SE-SE3": 20.0, "DE": 400.0, "US-MIDA-PJM": 450.0, "FLAT": 300.0}
ZONES = {
    ("aws", "eu-north-1"): "SE-SE3",
    ("aws", "eu-central-1"): "DE",
    ("azure", "germanywestcentral"): "DE",
    ("aws", "us-east-1"): "US-MIDA-PJM",
    ("aws", "me-central-1"): "FLAT",
    ("aws", "eu-west-1"): "DARK",
}
REGIONS = {
    place: Region(*place, place[1], "XX", 0.0, 0.0, zone, 1.1, "published") for place, zone in ZONES.items()
}


class Signal:
    """Hourly for three zones, a yearly average for one, and nothing for the zone DARK."""

    name = "replay"

    def intensity(self, zone, start, hours):
        if zone not in GRAMS:
            raise NoIntensity(zone, "nobody publishes it")
        flat = zone == "FLAT"
        method = "flat 2025 yearly average" if flat else "replay of 2022"
        values = GRAMS[zone] + (0 if flat else 5) * (np.arange(hours) % 24)
        return Intensity(
            zone, start, values, Basis("average", "life-cycle", "consumption", "test", method, flat=flat)
        )


def lost(region="eu-central-1", reason="dominated", **changes):
    found = {
        "provider": "aws",
        "region": region,
        "instanceType": "g6.xlarge",
        "market": "on-demand",
        "reason": reason,
        "detail": "+0.10 USD, +31 gCO2e",
    }
    if reason in ("dominated", "ranked-lower"):
        found |= {"costUsd": 2.5, "gco2e": 90.0, "start": iso(NOW)}
    return found | changes


REJECTED = [
    lost(),
    lost("germanywestcentral", provider="azure"),
    lost("me-central-1", "ranked-lower", costUsd=1.7),
    lost("eu-west-1", "no-intensity", detail="no carbon intensity for zone DARK: nobody publishes it"),
    lost("ap-1", "market", market="spot", detail="spot; placement.market is on-demand"),
    lost("ap-2", "market", market="spot", detail="spot; placement.market is on-demand"),
]


def made(*, hours=36, rejected=REJECTED, deadline=NOW + timedelta(hours=35), **changes):
    inputs = plan()["inputs"] | {
        "horizon": {
            "earliestStart": iso(NOW),
            "deadline": iso(deadline) if deadline else None,
            "hours": hours,
        }
    }
    reasons = [entry["reason"] for entry in rejected]
    counted = {reason: reasons.count(reason) for reason in dict.fromkeys(reasons)}
    summary = {"considered": len(rejected) + 1, "feasible": 4, **counted}
    return Plan.from_json(plan(rejected=rejected, inputs=inputs, summary=summary, **changes))


def page(a_plan=None, *, headline=("digits: wait 4 h", "why: least USD"), cautions=(), table=None):
    a_plan = a_plan or made()
    return render_plan_page(
        a_plan,
        Atlas.of(a_plan, REGIONS, Signal()),
        headline=headline,
        cautions=cautions,
        provenance=[
            table or Section("Inputs", ("input", "value"), (("signal", "replay; Electricity Maps"),))
        ],
    )


def nothing():
    late = [lost("eu-central-1", "deadline", detail="finishes 7 min after the deadline")]
    empty = dict.fromkeys(("runNowCheapest", "runNowHome"))
    return made(
        chosen=None,
        decision="reject",
        baselines=empty,
        frontier=[],
        rejected=late,
        horizon={},
        nearestMiss="wait",
    )


def moved():
    later = segment(
        region="me-central-1",
        zone="FLAT",
        start=iso(NOW + timedelta(hours=9)),
        end=iso(NOW + timedelta(hours=12)),
        intensityGco2PerKwh=[300.0] * 4,
    )
    return made(chosen=schedule(segment(), later, transfer=(1.0, 60.0), usd=0.2))


STATES = {
    "deferred": made(),
    "nothing fits": nothing(),
    "moved between regions": moved(),
    "no deadline": made(deadline=None, hours=6),
    "a year ahead": made(hours=8784),
    "no baselines": made(baselines={"runNowCheapest": None, "runNowHome": None}),
    "written before losers had figures": made(rejected=[lost(costUsd=None, gco2e=None, start=None)]),
    "free and clean": made(
        chosen=schedule(segment(priceUsdHour=0.0, powerWatts=0.0, embodiedGco2eHour=0.0)), frontier=[]
    ),
}


@pytest.mark.parametrize("name", STATES)
def test_every_kind_of_plan_makes_a_sound_and_inert_page(name):
    text = page(STATES[name])
    check_sound(text)
    check_inert(text)


def test_the_map_has_the_zones_of_all_feasible_candidates_with_their_regions_cleanest_first():
    atlas = Atlas.of(made(), REGIONS, Signal())
    assert [zone.zone for zone in atlas.zones] == ["SE-SE3", "FLAT", "DE", "US-MIDA-PJM"]
    assert atlas.zones[2].regions == ("aws/eu-central-1", "azure/germanywestcentral")
    assert [zone.flat for zone in atlas.zones] == [False, True, False, False]
    assert (atlas.start, len(atlas.zones[0].gco2_per_kwh)) == (HORIZON, 36)
    assert atlas.missing.keys() == {"aws/eu-west-1"}


def test_where_nothing_fits_the_map_has_those_that_only_time_or_budget_ruled_out():
    assert [zone.zone for zone in Atlas.of(nothing(), REGIONS, Signal()).zones] == ["DE"]


def test_a_signal_with_shorter_steps_is_averaged_to_hours():
    class Quarters(Signal):
        def intensity(self, zone, start, hours):
            found = super().intensity(zone, start, hours)
            values = np.repeat(found.gco2_per_kwh, 4) + np.tile([-3.0, -1.0, 1.0, 3.0], hours)
            return Intensity(zone, start, values, found.basis, 900)

    assert Atlas.of(made(), REGIONS, Quarters()).zones == Atlas.of(made(), REGIONS, Signal()).zones


def test_plan_and_baselines_are_on_the_map_and_named():
    found = Page(page())
    classes = [attributes.get("class") for _, attributes in found.elements]
    assert classes.count("route plan") == 2, "wide and narrow"
    assert classes.count("route baseline") == 4
    for words in ("the plan", "run now, cheapest", "run now, home region"):
        assert words in found.texts


def test_every_compared_candidate_is_a_dot_and_the_front_a_line():
    found = Page(page()).elements
    dots = [attributes for tag, attributes in found if tag == "circle" and "candidate" in attributes["class"]]
    assert len(dots) == 4, "two of the three lie on one another; wide and narrow"
    assert sum(attributes.get("class") == "curve front" for _, attributes in found) == 2


def test_the_cards_say_what_the_plan_costs_and_saves():
    found = Page(page()).texts
    theirs, ours = schedule(home())["gco2e"], schedule(segment())["gco2e"]
    at = found.index("Saves against run now, home region")
    assert found[at + 1] == f"+{100 * (1 - ours / theirs):.0f} %"
    assert "$1.61" in found


@pytest.mark.parametrize(
    ("nodes", "said"), [(1, "2 h at list prices"), (3, "6.00 node-hours at list prices")]
)
def test_the_cost_card_counts_the_machines_and_not_the_pauses(nodes, said):
    parts = [
        segment(
            nodes=nodes,
            start=iso(NOW + a * HOUR),
            end=iso(NOW + (a + 1) * HOUR),
            intensityGco2PerKwh=[20.0, 20.0],
        )
        for a in (0, 9)
    ]
    assert said in [text.replace("\u00a0", " ") for text in Page(page(made(chosen=schedule(*parts)))).texts]


def test_a_plan_that_spends_more_says_so():
    worse = made(baselines={"runNowHome": schedule(segment(intensityGco2PerKwh=[10.0, 10.0]))})
    found = Page(page(worse)).texts
    assert found[found.index("Saves against run now, home region") + 1].startswith("−")


def test_cautions_stand_above_every_figure():
    text = page(cautions=["carbon figures replay past hours: they are no forecast of these"])
    assert text.index("carbon figures replay past hours") < text.index('role="img"')
    assert "banner" not in page().split("<body>")[1]


def test_grams_can_be_recomputed_from_the_segments():
    quarter = segment(start=iso(NOW), end=iso(NOW + timedelta(minutes=50)), intensityGco2PerKwh=[30.0, 60.0])
    assert "48.0 g/kWh" in Page(page(made(chosen=schedule(quarter)))).texts, "20 min at 30, 30 min at 60"


def test_each_segment_has_its_energy_grams_and_dollars_and_what_they_are_made_of():
    found = Page(page(made(chosen=schedule(segment(nodes=2), transfer=(1.0, 60.0), usd=0.2)))).texts
    at = found.index("2 x aws/eu-north-1 g6.xlarge, SE-SE3")
    assert found[at + 1 : at + 8] == ["25.0 g/kWh", "110 W", "1.1", "0.8048", "0.484 kWh", "12.1 g", "$3.22"]
    assert "Beside it for moving data: 1.00 to 60.0 g, $0.200." in found


def test_what_pauses_cost_is_said():
    paused = schedule(segment())
    paused["breakdown"] |= {"pauseKwh": 0.0263, "pauseUsd": 0.214, "pauseGco2e": 3.97}
    assert (
        "Of it for saving and restarting around pauses: 26.3 Wh, 3.97 g, $0.214."
        in Page(page(made(chosen=paused))).texts
    )


def test_losers_are_counted_by_reason_then_listed_with_their_figures():
    found = Page(page()).texts
    assert "All 3 feasible candidates that lost" in found
    assert "All 3 candidates that fail a constraint" in found
    assert "ap-1, ap-2" in found, "the same miss of the same machine is one row"
    assert found[found.index("market") + 1] == "2"
    assert {"$2.50", "90.0 g"} <= set(found)


def test_whatever_users_write_is_shown_not_run():
    hostile = made(
        workload={"metadata": {"name": EVIL}, "spec": {"type": EVIL}},
        rejected=[lost(detail=EVIL, instanceType=EVIL), lost("x", EVIL, detail=EVIL)],
        chosen=schedule(segment(instanceType=EVIL, region=EVIL)),
    )
    text = page(hostile, headline=(EVIL, EVIL), cautions=(EVIL,), table=Section(EVIL, (EVIL,), ((EVIL,),)))
    check_inert(text.replace("http", ""))
    assert EVIL in Page(text).texts


def test_thousands_of_losers_stay_a_small_page():
    many = [
        lost(
            instanceType=f"type-{n}", costUsd=1 + n % 97, gco2e=1.0 + n % 89, detail="+0.10 USD (price +0.1)"
        )
        for n in range(4000)
    ]
    many += [
        lost(
            f"region-{n % 60}",
            "budget-cost",
            instanceType=f"type-{n}",
            detail=f"{n} USD; budget.maxCost is 1",
        )
        for n in range(6000)
    ]
    text = page(made(rejected=many))
    assert len(text) < 1_000_000
    assert "more: `harchos plan --explain` lists them." in text


def test_every_table_has_headers_and_every_drawing_its_data():
    found = Page(page()).elements
    assert sum(tag == "table" for tag, _ in found) == sum(tag == "thead" for tag, _ in found)
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in found if tag == "th")
    assert sum(tag == "h1" for tag, _ in found) == 1
    assert [tag for tag, _ in found if tag == "html"] and dict(found[0][1])["lang"] == "en"
