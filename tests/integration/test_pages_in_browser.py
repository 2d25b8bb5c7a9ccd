"""Pages in a real browser: drawn, readable on a phone and in the dark, and asking for nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harchos_infra.report.figures.levels import COLOURS
from support import browser
from support.command import Harchos
from support.simulations import write_jobs, write_signal

pytestmark = pytest.mark.skipif(browser.find() is None, reason="no Chromium here (apt-get install chromium)")

DIGITS = str(Path(__file__).parents[2] / "configs" / "training" / "digits.yaml")
PLAN = {False: "#0b7a66", True: "#3cc0a4"}
"""The plan's colour on a light and on a dark page (page.css)."""


@pytest.fixture
def plan_page(harchos: Harchos, tmp_path: Path) -> Path:
    page = tmp_path / "plan.html"
    code, _, err = harchos("plan", DIGITS, "--now", "2022-07-01T00:00Z", "--html", str(page))
    assert code == 0, err
    return page


@pytest.fixture
def simulation_page(harchos: Harchos, tmp_path: Path) -> Path:
    page = tmp_path / "simulation.html"
    files = ("--jobs", str(write_jobs(tmp_path)), "--signal", str(write_signal(tmp_path)))
    code, _, err = harchos(
        "simulate", *files, "--policy", "migrate", "--forecast", "perfect", "--html", str(page)
    )
    assert code == 0, err
    return page


def map_of(seen: browser.Look) -> tuple[slice, slice]:
    """Return the rows and columns of the picture that the map's colours take up."""
    places = np.concatenate([seen.where(colour) for colour in COLOURS])
    (top, left), (bottom, right) = places.min(axis=0), places.max(axis=0)
    return slice(top, bottom), slice(left, right)


@pytest.mark.parametrize(
    ("width", "height", "dark"),
    [(1100, 1400, False), (1100, 1400, True), (390, 1500, False), (390, 1500, True)],
)
def test_the_map_and_the_plan_on_it_are_drawn(
    plan_page: Path, tmp_path: Path, width: int, height: int, dark: bool
) -> None:
    seen = browser.look(plan_page, tmp_path, width=width, height=height, dark=dark)
    assert seen.pixels.shape == (height, width, 3)
    assert seen.pixels[3, 3].tolist() == ([18, 23, 28] if dark else [255, 255, 255]), "the theme's background"
    assert sum(seen.count(colour) > 500 for colour in COLOURS) >= 8
    rows, columns = map_of(seen)
    assert rows.stop - rows.start > 500, "the map is as tall as its zones"
    on_map = browser.Look(seen.pixels[rows, columns], [], [])
    assert on_map.count(PLAN[dark]) > 40, "the plan's box"


def test_a_simulation_is_drawn_and_asks_for_nothing(simulation_page: Path, tmp_path: Path) -> None:
    seen = browser.look(simulation_page, tmp_path, width=1100, height=2400)
    assert (seen.console, seen.requested) == ([], [])
    assert sum(seen.count(colour) > 300 for colour in COLOURS) >= 7
    on_map = browser.Look(seen.pixels[map_of(seen)], [], [])
    assert on_map.count(PLAN[False]) > 100, "the jobs"
    assert seen.count(PLAN[False]) > 5000, "bars and towers"
    assert browser.scroll_width(simulation_page, tmp_path, width=390) == 390


def test_the_page_asks_for_nothing_and_complains_of_nothing(plan_page: Path, tmp_path: Path) -> None:
    seen = browser.look(plan_page, tmp_path, width=1100, height=900)
    assert (seen.console, seen.requested) == ([], [])


def test_a_page_that_did_would_be_found_out(tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    page.write_text("<!doctype html><script>missing()</script><img src='http://example.invalid/x.png'>")
    seen = browser.look(page, tmp_path, width=1100, height=900)
    assert "missing is not defined" in seen.console[0]
    assert seen.requested == ["http://example.invalid/x.png"]


def test_a_phone_need_not_scroll_sideways(plan_page: Path, tmp_path: Path) -> None:
    assert browser.scroll_width(plan_page, tmp_path, width=390) == 390
    wide = tmp_path / "wide.html"
    wide.write_text("<!doctype html><body><div style='width:800px'>wide</div></body>")
    assert browser.scroll_width(wide, tmp_path, width=390) > 390
