"""How a source is reached by this user: address, keys and the place of its cache.

A key is taken from the environment, else from the settings (`harchos config set`). An address is taken from
`HARCHOS_<SOURCE>_URL`, for a proxy or a test; what is read from another address is kept apart in the cache.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import urlsplit

from harchos_infra.errors import HarchosError
from harchos_infra.grid.sources.cache import Cache


@dataclass(frozen=True, slots=True)
class _Key:
    variable: str
    setting: str
    where: str
    free_text: bool = False
    """A password may hold anything; a token goes into a header or an address."""


_WATTTIME = "register as https://docs.watttime.org says; a free account has CAISO_NORTH"
_KEYS = {
    "electricitymaps": (
        _Key(
            "ELECTRICITYMAPS_TOKEN",
            "electricitymaps.token",
            "https://app.electricitymaps.com gives one, free for a single zone",
        ),
    ),
    "watttime": (
        _Key("WATTTIME_USER", "watttime.user", _WATTTIME, free_text=True),
        _Key("WATTTIME_PASSWORD", "watttime.password", _WATTTIME, free_text=True),
    ),
    "eia": (
        _Key(
            "EIA_API_KEY",
            "eia.api_key",
            "https://www.eia.gov/opendata/register.php gives one; DEMO_KEY does for a few calls",
        ),
    ),
    "entsoe": (
        _Key(
            "ENTSOE_TOKEN",
            "entsoe.token",
            "register at https://transparency.entsoe.eu and ask for API access",
        ),
    ),
}


@dataclass(frozen=True, slots=True)
class Account:
    """Keys in the order that the source takes them; `url` None is the source's own address."""

    keys: tuple[str, ...]
    url: str | None
    cache: Cache


def account_of(source: str) -> Account:
    """Return this user's account at a source; raise HarchosError where a key is missing."""
    from harchos_infra.settings import home

    url = os.environ.get(variable := f"HARCHOS_{source.upper()}_URL") or None
    folder = source
    if url is not None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise HarchosError(f"{variable} is not an address", hint="such as https://proxy.example/v3")
        folder = f"{source}@{parts.netloc.rpartition('@')[2]}"
    keys = tuple(_value(source, key) for key in _KEYS.get(source, ()))
    return Account(keys, url, Cache(home() / "cache" / "carbon", folder))


def _value(source: str, key: _Key) -> str:
    from harchos_infra.settings import get_value

    found = os.environ.get(key.variable) or get_value(key.setting)
    if not found:
        raise HarchosError(
            f"signal {source} needs a key: neither {key.variable} nor the setting {key.setting} is set",
            hint=key.where,
        )
    value = str(found).strip()
    if not key.free_text and not all("!" <= c <= "~" for c in value):
        raise HarchosError(
            f"the key of signal {source} ({key.variable} or {key.setting}) holds a space or another "
            "character that no key has",
            hint="copy it again",
        )
    return value
