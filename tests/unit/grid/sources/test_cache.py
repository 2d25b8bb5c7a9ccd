"""The cache: private, whole or absent, bounded, and no error when it fails."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harchos_infra.grid.sources import cache as module
from harchos_infra.grid.sources.cache import Cache, Kept, Outlook
from harchos_infra.grid.sources.hourly import GAP, Hour

NOON = int(datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp())
FIRST = NOON // 3600


def test_hours_come_back_as_they_were_with_gaps_and_estimates(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "gb")
    hours = {
        FIRST: Kept(Hour(12.5), NOON),
        FIRST + 1: Kept(Hour(0.0, estimated=True), NOON + 60),
        FIRST + 2: Kept(GAP, NOON),
    }
    cache.keep_hours("GB", hours)
    assert Cache(tmp_path, "gb").hours("GB", FIRST - 5, FIRST + 9) == hours
    assert Cache(tmp_path, "gb").hours("GB", FIRST + 1, FIRST + 2) == {FIRST + 1: hours[FIRST + 1]}
    assert Cache(tmp_path, "eia").hours("GB", FIRST, FIRST + 3) == {}


def test_a_span_over_the_end_of_a_month_is_one_span(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "gb")
    start = int(datetime(2026, 10, 30, tzinfo=UTC).timestamp()) // 3600
    hours = {start + n: Kept(Hour(float(n)), NOON) for n in range(40 * 24)}
    cache.keep_hours("GB", hours)
    assert cache.hours("GB", start, start + 40 * 24) == hours
    assert len(list(tmp_path.rglob("hours-*.json"))) == 3


def test_the_newest_outlook_that_was_read_by_then_is_found(tmp_path: Path) -> None:
    cache = Cache(tmp_path, "gb")
    outlooks = [Outlook(NOON + n * 900, FIRST, (1.0 * n, 2.0)) for n in range(3)]
    for outlook in outlooks:
        cache.keep_outlook("GB", outlook)
    assert cache.outlook("GB", read_by_s=NOON + 9999) == outlooks[2]
    assert cache.outlook("GB", read_by_s=NOON + 1799) == outlooks[1]
    assert cache.outlook("GB", read_by_s=NOON - 1) is None


def test_files_are_private_and_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "OUTLOOKS_KEPT", 3)
    before = os.umask(0)
    try:
        cache = Cache(tmp_path / "cache", "gb")
        cache.keep_hours("GB", {FIRST: Kept(Hour(1.0), NOON)})
        for n in range(6):
            cache.keep_outlook("GB", Outlook(NOON + n, FIRST, (1.0,)))
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) == 4
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert cache.outlook("GB", read_by_s=NOON + 9) == Outlook(NOON + 5, FIRST, (1.0,))


def content(**parts: object) -> str:
    return json.dumps({"schema": "harchos.carbon-cache/1", **parts})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        content(),
        content(hours=5),
        content(hours={"1": [-4, 0, 0]}, read=1, first=2, gco2PerKwh=[-4]),
        content(hours={"x": 5}, read=1, first=2, gco2PerKwh=[None]),
        '{"schema": "another/1", "hours": {"1": [4, 0, 0]}}',
    ],
)
def test_a_file_that_cannot_be_read_counts_as_not_there(text: str, tmp_path: Path) -> None:
    cache = Cache(tmp_path, "gb")
    cache.keep_hours("GB", {FIRST: Kept(Hour(1.0), NOON)})
    cache.keep_outlook("GB", Outlook(NOON, FIRST, (1.0,)))
    cache.keep_fact("a", "b")
    for path in tmp_path.rglob("*.json"):
        path.write_text(text)
    assert cache.hours("GB", FIRST, FIRST + 1) == {}
    assert cache.outlook("GB", read_by_s=NOON) is None
    assert cache.facts() == {}
    cache.keep_hours("GB", {FIRST: Kept(Hour(1.0), NOON)})
    assert len(cache.hours("GB", FIRST, FIRST + 1)) == 1


def test_a_cache_that_cannot_be_written_says_so_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "gb").write_text("in the way")
    cache = Cache(tmp_path, "gb")
    cache.keep_hours("GB", {FIRST: Kept(Hour(1.0), NOON)})
    assert cache.unwritable is not None
    assert str(tmp_path) in cache.unwritable


def test_without_a_root_nothing_is_kept() -> None:
    cache = Cache(None, "gb")
    cache.keep_hours("GB", {FIRST: Kept(Hour(1.0), NOON)})
    cache.keep_outlook("GB", Outlook(NOON, FIRST, (1.0,)))
    cache.keep_fact("a", "b")
    assert (cache.hours("GB", FIRST, FIRST + 1), cache.outlook("GB", read_by_s=NOON), cache.facts()) == (
        {},
        None,
        {},
    )
    assert cache.unwritable is None


def test_a_zone_s_name_stays_inside_the_cache(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache", "gb")
    cache.keep_hours("../../evil", {FIRST: Kept(Hour(1.0), NOON)})
    assert [p.name for p in tmp_path.iterdir()] == ["cache"]
    (path,) = (tmp_path / "cache" / "gb").rglob("*.json")
    assert json.loads(path.read_text())["zone"] == "../../evil"
