"""The `--signal` option: which source of carbon intensity is meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harchos_infra.errors import HarchosError
from harchos_infra.grid.replay import builtin_replay
from harchos_infra.grid.signal import Signal

if TYPE_CHECKING:
    from harchos_infra.grid.sources.account import Account
    from harchos_infra.grid.sources.http import Http
    from harchos_infra.grid.sources.source import Source

REPLAY = "replay"
LIVE = ("electricitymaps", "watttime", "gb", "energycharts", "eia", "entsoe")
_HINT = f"`replay`, `replay:PATH` (a file ZONE.csv or a directory of them), or live: {', '.join(LIVE)}"


def parse_signal(text: str | None, *, say: Callable[[str], None] = lambda _: None) -> Signal:
    """Return the signal that `--signal` names; without one, that of the setting `signal`, else the replay.

    Names joined by commas are an order of fallback. `say` hears of progress that takes over a second.
    """
    names = signal_names(text or default_signal())
    if names == [REPLAY]:
        return builtin_replay()
    from harchos_infra.grid.sources.http import Http

    http = Http()
    signals = [_signal(name, http, say) for name in names]
    if len(signals) == 1:
        return signals[0]
    from harchos_infra.grid.sources.fallback import Fallback

    return Fallback(signals)


def default_signal() -> str:
    """Return the setting `signal`, or `replay`."""
    from harchos_infra.settings import Settings

    return Settings.load().signal or REPLAY


def signal_names(text: str) -> list[str]:
    """Return the names in `electricitymaps,replay`; raise HarchosError for one that means nothing.

    A path may hold a comma: what begins with `replay:` is the last name.
    """
    names: list[str] = []
    rest = text
    while rest:
        name, _, rest = (rest, "", "") if rest.startswith(f"{REPLAY}:") else rest.partition(",")
        names.append(name.strip())
    if not names or text.endswith(","):
        names.append("")
    for name in names:
        kind, _, path = name.partition(":")
        known = kind == REPLAY if path else name in (*LIVE, REPLAY)
        if not known:
            raise HarchosError(f"unknown signal {name or text!r}", hint=f"{_near(name)}{_HINT}")
    if len(set(names)) < len(names):
        raise HarchosError(f"signal {text!r} names one source twice", hint="each needs to be named once")
    return names


def _near(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, (*LIVE, REPLAY), n=1, cutoff=0.7)
    return f"did you mean {near[0]!r}? Known are " if near else ""


def _signal(name: str, http: Http, say: Callable[[str], None]) -> Signal:
    if name == REPLAY:
        return builtin_replay()
    if name not in LIVE:
        from harchos_infra.grid.file_replay import FileReplay

        return FileReplay(Path(name.removeprefix(f"{REPLAY}:")))
    from harchos_infra.grid.sources.account import account_of
    from harchos_infra.grid.sources.live import LiveSignal

    account = account_of(name)
    return LiveSignal(_source(name, http, account), account.cache, say=say)


def _source(name: str, http: Http, account: Account) -> Source:
    url, keys = account.url, account.keys
    if name == "electricitymaps":
        from harchos_infra.grid.sources import electricitymaps

        return electricitymaps.ElectricityMaps(http, keys[0], url or electricitymaps.URL)
    if name == "watttime":
        from harchos_infra.grid.sources import watttime

        return watttime.WattTime(http, keys[0], keys[1], url or watttime.URL, cache=account.cache)
    if name == "gb":
        from harchos_infra.grid.sources import gb

        return gb.GreatBritain(http, url or gb.URL)
    if name == "energycharts":
        from harchos_infra.grid.sources import energycharts

        return energycharts.EnergyCharts(http, url or energycharts.URL)
    if name == "eia":
        from harchos_infra.grid.sources import eia

        return eia.Eia(http, keys[0], url or eia.URL)
    from harchos_infra.grid.sources import entsoe

    return entsoe.Entsoe(http, keys[0], url or entsoe.URL)
