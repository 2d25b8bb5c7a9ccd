"""Each policy against a plain search; work is done in time; nobody does better than the oracle."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import combinations, pairwise, product

import numpy as np
import pytest
from small_jobs import HOUR_S, grams_by_hand, job, jobs, series, world

from harchos_infra.simulation.jobs import Jobs
from harchos_infra.simulation.outlook import Noise, parse_outlook
from harchos_infra.simulation.policy import POLICIES
from harchos_infra.simulation.policy_moves import by_moves, oracle
from harchos_infra.simulation.policy_pauses import by_pauses
from harchos_infra.simulation.policy_threshold import by_threshold
from harchos_infra.simulation.policy_window import by_window
from harchos_infra.simulation.series import Series
from harchos_infra.simulation.spans import GB_PER_GIB, Spans, account

SEEDS = range(8)


def grams_at(of: Series, one: Jobs, zone: int, start_s: int) -> float:
    spans = Spans(np.array([0]), np.array([zone]), np.array([start_s]), start_s + one.duration_s)
    return float(account(one, of, spans).gco2[0])


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("unit_s", [HOUR_S, 600])
def test_windows_are_those_of_a_search_of_every_ten_minutes(seed, unit_s):
    rng = np.random.default_rng(seed)
    of = series(rng)
    some = jobs(rng, of, unit_s=unit_s, state_gib=rng.integers(0, 3, 6) * 4000.0)
    for anywhere in (False, True):
        grams = account(some, of, by_window(some, world(of), anywhere=anywhere)).gco2
        for place in range(len(some)):
            one = some.take(np.array([place]))
            zones = range(3) if anywhere else [int(one.home[0])]
            starts = range(int(one.arrival_s[0]), int(one.latest_s[0]) + 1, 600)
            by_search = min(grams_at(of, one, zone, start) for zone, start in product(zones, starts))
            assert grams[place] == pytest.approx(by_search)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("restart_kwh", [0.0, 1.5])
@pytest.mark.parametrize("anywhere", [False, True])
def test_pauses_are_those_of_a_search_of_all_sets_of_hours(seed, restart_kwh, anywhere):
    rng = np.random.default_rng(seed)
    of = series(rng)
    some = jobs(rng, of, interruptible=np.ones(6, dtype=bool), restart_kwh=np.full(6, restart_kwh))
    grams = account(some, of, by_pauses(some, world(of), anywhere=anywhere)).gco2
    for place in range(len(some)):
        arrival, end, work = (
            int(each[place]) // HOUR_S for each in (some.arrival_s, some.deadline_s, some.duration_s)
        )
        best = np.inf
        for zone in range(3) if anywhere else [int(some.home[place])]:
            row = of.gco2_per_kwh[zone]
            for hours in combinations(range(arrival, end), work):
                resumed = [b for a, b in pairwise(hours) if b > a + 1]
                best = min(best, some.kw[place] * row[list(hours)].sum() + restart_kwh * row[resumed].sum())
        assert grams[place] == pytest.approx(best)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("restart_kwh", "state_gib"), [(0.0, 0.0), (1.0, 0.0), (0.0, 5000.0), (0.7, 3000.0)])
def test_moves_are_those_of_a_search_of_every_zone_in_every_hour(seed, restart_kwh, state_gib):
    rng = np.random.default_rng(seed)
    of = series(rng, zones=2)
    some = jobs(rng, of, 3, interruptible=np.ones(3, dtype=bool))
    some = replace(
        some,
        duration_s=np.minimum(some.duration_s, 4 * HOUR_S),
        deadline_s=some.arrival_s + np.minimum(some.deadline_s - some.arrival_s, 8 * HOUR_S),
        restart_kwh=np.full(3, restart_kwh),
        state_gib=np.full(3, state_gib),
    )
    some = replace(some, expected_s=some.duration_s)
    result = account(some, of, by_moves(some, world(of)))
    free = restart_kwh == state_gib == 0
    for place in range(len(some)):
        assert result.gco2[place] == pytest.approx(least_with_moves(of, some, place, pause_to_move=not free))


def least_with_moves(of: Series, some: Jobs, place: int, *, pause_to_move: bool) -> float:
    arrival, end, work = (
        int(each[place]) // HOUR_S for each in (some.arrival_s, some.deadline_s, some.duration_s)
    )
    own_mean = of.gco2_per_kwh[:, arrival:end].mean(axis=1)
    move_g = some.state_gib[place] * GB_PER_GIB * 0.001 * own_mean.mean()
    best = np.inf
    for hours in combinations(range(arrival, end), work):
        for zones in product(range(2), repeat=work):
            grams, before, at = 0.0, int(some.home[place]), None
            for hour, zone in zip(hours, zones, strict=True):
                moved = zone != before
                if at is not None and moved and pause_to_move and hour == at + 1:
                    grams = np.inf
                resumed = at is not None and (hour > at + 1 or moved)
                grams += some.kw[place] * of.gco2_per_kwh[zone, hour] + moved * move_g
                grams += resumed * some.restart_kwh[place] * of.gco2_per_kwh[zone, hour]
                before, at = zone, hour
            best = min(best, grams)
    return best


@pytest.mark.parametrize("seed", SEEDS)
def test_partial_hours_are_filled_with_the_cheapest_seconds(seed):
    rng = np.random.default_rng(seed)
    of = series(rng, zones=1)
    some = jobs(rng, of, unit_s=600, interruptible=np.ones(6, dtype=bool))
    grams = account(some, of, by_pauses(some, world(of), anywhere=False)).gco2
    for place in range(len(some)):
        moments = range(int(some.arrival_s[place]), int(some.deadline_s[place]), 600)
        prices = sorted(of.gco2_per_kwh[0, moment // HOUR_S] for moment in moments)
        assert grams[place] == pytest.approx(
            some.kw[place] / 6 * sum(prices[: int(some.duration_s[place]) // 600])
        )


@pytest.mark.parametrize("name", [name for name in POLICIES if name != "run-now-cheapest"])
@pytest.mark.parametrize("replan_s", [None, HOUR_S])
@pytest.mark.parametrize("seed", SEEDS)
def test_all_work_is_done_in_time_and_counted_as_by_hand_and_the_oracle_is_never_beaten(name, replan_s, seed):
    rng = np.random.default_rng(seed)
    of = series(rng)
    some = jobs(
        rng,
        of,
        unit_s=int(rng.choice([HOUR_S, 900, 60])),
        interruptible=rng.integers(0, 2, 6).astype(bool),
        restart_kwh=rng.choice([0.0, 0.8], 6),
        state_gib=rng.choice([0.0, 2000.0], 6),
    )
    spans = POLICIES[name].run(some, world(of, Noise(of, 30, seed), replan_s=replan_s))
    found, best = account(some, of, spans), account(some, of, oracle(some, world(of)))
    worked = np.bincount(spans.job, weights=spans.end_s - spans.start_s, minlength=len(some))
    assert worked.tolist() == some.duration_s.tolist()
    assert (found.start_s >= some.arrival_s).all()
    assert (found.end_s <= some.deadline_s).all()
    assert (spans.end_s[:-1] <= spans.start_s[1:])[spans.job[:-1] == spans.job[1:]].all()
    assert (found.restarts[~some.interruptible] == 0).all()
    by_hand = [grams_by_hand(some, job, of, spans) for job in range(len(some))]
    assert (found.compute_g + found.restart_g).tolist() == pytest.approx(by_hand)
    assert (best.gco2 <= found.gco2 * (1 + 1e-9) + 1e-9).all()


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("restart_kwh", [0.0, 0.9])
def test_replanning_on_a_perfect_forecast_changes_nothing(seed, restart_kwh):
    rng = np.random.default_rng(seed)
    of = series(rng)
    some = jobs(rng, of, interruptible=np.ones(6, dtype=bool), restart_kwh=np.full(6, restart_kwh))
    for policy in (partial(by_pauses, anywhere=True), by_moves, partial(by_window, anywhere=True)):
        once = account(some, of, policy(some, world(of))).gco2
        again = account(some, of, policy(some, world(of, replan_s=HOUR_S))).gco2
        assert again.tolist() == pytest.approx(once.tolist())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_oracle_is_region_interruptible_where_moving_never_pays(seed):
    rng = np.random.default_rng(seed)
    of = series(rng)
    some = jobs(rng, of, interruptible=np.ones(6, dtype=bool), state_gib=np.full(6, 1e9))
    held = account(some, of, by_pauses(some, world(of), anywhere=True)).gco2
    assert account(some, of, oracle(some, world(of))).gco2.tolist() == pytest.approx(held.tolist())


def test_what_is_expected_plans_a_window_and_what_is_true_is_counted():
    of = Series(("Z",), 455_832, np.array([[300.0, 300, 100, 100, 400, 400, 50, 50]]), "", "")
    short = job(0, 4, 8, expected_s=np.array([2 * HOUR_S]))
    spans = by_window(short, world(of), anywhere=False)
    assert spans.start_s.tolist() == [2 * HOUR_S]
    assert account(short, of, spans).gco2.tolist() == [1000.0]
    assert account(short, of, oracle(short, world(of))).gco2.tolist() == [800.0]


def test_greenest_now_goes_by_the_last_known_hour():
    of = Series(("A", "B"), 455_832, np.array([[200.0, 100, 100], [100, 900, 900]]), "", "")
    assert POLICIES["greenest-now"].run(job(1, 1, 3), world(of)).zone.tolist() == [1]
    heavy = job(1, 1, 3, state_gib=np.array([1e6]))
    assert POLICIES["greenest-now"].run(heavy, world(of)).zone.tolist() == [0]


def test_best_static_is_the_one_zone_that_takes_least():
    rng = np.random.default_rng(5)
    of = series(rng)
    some = jobs(rng, of)
    zones = POLICIES["best-static"].run(some, world(of)).zone
    totals = [
        account(
            some,
            of,
            Spans(np.arange(6), np.full(6, z), some.arrival_s, some.arrival_s + some.duration_s),
        ).gco2.sum()
        for z in range(3)
    ]
    assert set(zones.tolist()) == {int(np.argmin(totals))}


@pytest.mark.parametrize(
    ("interruptible", "slack_h", "ran"),
    [
        (True, 24, [(205, 209)]),
        (True, 3, [(195, 199)]),
        (False, 24, [(205, 209)]),
        (True, 14, [(205, 209)]),
    ],
)
def test_threshold_waits_for_a_green_hour_but_no_longer_than_the_deadline_allows(interruptible, slack_h, ran):
    of = Series(("Z",), 455_832, np.array([([500.0] * 12 + [100.0] * 8 + [400.0] * 4) * 12]), "", "")
    one = job(192, 4, 196 + slack_h, interruptible=np.array([interruptible]))
    spans = by_threshold(one, world(of))
    assert [(s / HOUR_S, e / HOUR_S) for s, e in zip(spans.start_s, spans.end_s, strict=True)] == ran


@pytest.mark.parametrize("text", ["noise:20:7", "noise:20:8"])
def test_a_seed_draws_the_same_errors_whatever_the_other_zones(text):
    rng = np.random.default_rng(1)
    of = series(rng, zones=3, hours=500)
    alone = Series(of.zones[1:2], of.first, of.gco2_per_kwh[1:2], "", "")
    zone, hour = np.array([1]), np.array([4])
    seen = parse_outlook(text, of).seen(zone, hour, 400)
    assert seen.tolist() == parse_outlook(text, of).seen(zone, hour, 400).tolist()
    assert seen.tolist() == parse_outlook(text, alone).seen(zone - 1, hour, 400).tolist()
    assert seen.tolist() != parse_outlook("noise:20:9", of).seen(zone, hour, 400).tolist()


def test_noise_is_off_by_its_percentage_on_average():
    of = Series(("Z",), 0, np.full((1, 20_000), 300.0), "", "")
    seen = parse_outlook("noise:20:1", of).seen(np.array([0]), np.array([0]), 20_000)
    assert np.abs(seen / 300 - 1).mean() == pytest.approx(0.2, rel=0.03)
