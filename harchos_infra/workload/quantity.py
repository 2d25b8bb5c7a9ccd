"""Quantities with units: counts, sizes in GiB, durations in hours, times in UTC; read and written.

Every parser takes what YAML gives (text or a number) and raises `QuantityError`, whose text ends with a hint.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

MAX_HOURS = 10 * 365 * 24.0
MAX_GIB = 2.0**30
MAX_COUNT = 1e6

_NUMBER = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_COUNT = re.compile(rf"({_NUMBER})(m?)", re.ASCII)
_SIZE = re.compile(rf"({_NUMBER})\s*([A-Za-z]*)", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]+)\s*", re.ASCII)
_ISO_DURATION = re.compile(
    r"P(?:(?P<w>\d+(?:\.\d+)?)W)?(?:(?P<d>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<h>\d+(?:\.\d+)?)H)?(?:(?P<m>\d+(?:\.\d+)?)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?",
    re.ASCII,
)
_HOURS_PER = {"w": 168.0, "d": 24.0, "h": 1.0, "m": 1 / 60, "s": 1 / 3600}
_BYTES_PER = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12, "p": 1e15} | {
    f"{letter}i": 1024.0**power for power, letter in enumerate("kmgtp", start=1)
}


class QuantityError(ValueError):
    """A quantity that cannot be read; `what` and `hint` are also the two halves of its text."""

    def __init__(self, what: str, hint: str) -> None:
        super().__init__(f"{what}; {hint}")
        self.what = what
        self.hint = hint


def parse_count(value: object) -> float:
    """Return a number of cores: `4`, `0.5`, `500m` (thousandths). Greater than 0."""
    hint = "write a number such as 4, or 500m for half a core"
    match = _COUNT.fullmatch(_text(value, "a number of cores", hint))
    if match is None:
        raise QuantityError(f"{_shown(value)} is not a number of cores", hint)
    count = float(match[1]) / (1000 if match[2] else 1)
    return _within(count, MAX_COUNT, value, "number of cores", hint)


def parse_gib(value: object) -> float:
    """Return a size in GiB: `16Gi`, `50GiB`, `500MB`; a plain number is GiB."""
    hint = "write a size such as 16Gi, 500MB or 16 (GiB)"
    match = _SIZE.fullmatch(_text(value, "a size", hint))
    if match is None:
        raise QuantityError(f"{_shown(value)} is not a size", hint)
    number, unit = float(match[1]), match[2]
    if not unit:
        return _within(number, MAX_GIB, value, "size", hint)
    scale = _BYTES_PER.get(unit.lower().removesuffix("b"))
    if scale is None or unit in ("m", "b"):
        raise QuantityError(f"{unit!r} in {_shown(value)} is not a unit of size", hint)
    return _within(number * scale / 1024**3, MAX_GIB, value, "size", hint)


def parse_hours(value: object) -> float:
    """Return a duration in hours: `36h`, `90m`, `30s`, `1d`, `2w`, `1h30m`, or ISO 8601 `PT36H`, `P1DT2H`."""
    hint = "write a duration with its unit, such as 36h, 90m, 1h30m or PT36H"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise QuantityError(f"{_shown(value)} has no unit", f"write {value}h for hours, {value}m for minutes")
    text = _text(value, "a duration", hint)
    if re.fullmatch(_NUMBER, text, re.ASCII):
        raise QuantityError(f"{_shown(value)} has no unit", f"write {text}h for hours, {text}m for minutes")
    parts = _iso_parts(text) if text.startswith("P") else _plain_parts(text)
    if not parts:
        raise QuantityError(f"{_shown(value)} is not a duration", hint)
    return _within(math.fsum(n * _HOURS_PER[unit] for unit, n in parts), MAX_HOURS, value, "duration", hint)


def parse_time(value: object) -> datetime:
    """Return an ISO 8601 time with a zone (`2026-11-24T06:00Z`, `…+01:00`) as a UTC datetime."""
    hint = "write a time with its zone, such as 2026-11-24T06:00Z"
    if isinstance(value, datetime):
        time = value
    else:
        text = _text(value, "a time", hint)
        try:
            time = datetime.fromisoformat(text)
        except ValueError:
            raise QuantityError(f"{_shown(value)} is not a time", hint) from None
        if time.tzinfo is None:
            whole = text if len(text) > 10 else f"{text}T00:00"
            raise QuantityError(f"{_shown(value)} has no zone", f"add Z for UTC: {whole}Z")
    if time.tzinfo is None:
        raise QuantityError(f"{_shown(value)} has no zone", hint)
    if not 2000 <= time.year < 2100:
        raise QuantityError(f"{_shown(value)} is not within the years 2000 to 2099", hint)
    return time.astimezone(UTC)


def parse_deadline(value: object) -> datetime | float:
    """Return a deadline: a UTC datetime, or hours from the moment of planning."""
    if isinstance(value, datetime) or (isinstance(value, str) and re.match(r"\s*\d{4}-?\d\d", value)):
        return parse_time(value)
    try:
        return _positive(parse_hours(value), value)
    except QuantityError as error:
        raise QuantityError(
            error.what, f"{error.hint}; or a time with its zone, such as 2026-11-24T06:00Z"
        ) from None


def parse_positive_hours(value: object) -> float:
    """Return a duration in hours that is longer than nothing."""
    return _positive(parse_hours(value), value)


def format_hours(hours: float) -> str:
    """Return a duration in its largest whole unit of h, m, s: `36h`, `90m`, `0.5s`."""
    seconds = round(hours * 3600, 6)
    for unit, length in (("h", 3600), ("m", 60)):
        if seconds % length == 0:
            return f"{int(seconds // length)}{unit}"
    return f"{_decimal(seconds)}s"


def format_gib(gib: float) -> str:
    """Return a size as `16Gi`."""
    return f"{_decimal(gib)}Gi"


def format_time(time: datetime) -> str:
    """Return a UTC time as `2026-11-24T06:00:00Z`."""
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _decimal(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:.9f}".rstrip("0")


def _plain_parts(text: str) -> list[tuple[str, float]]:
    parts = [(unit, float(number)) for number, unit in _DURATION_PART.findall(text)]
    order = [list(_HOURS_PER).index(unit) for unit, _ in parts if unit in _HOURS_PER]
    whole = _DURATION_PART.sub("", text) == ""
    return parts if whole and len(order) == len(parts) and order == sorted(set(order)) else []


def _iso_parts(text: str) -> list[tuple[str, float]]:
    match = _ISO_DURATION.fullmatch(text)
    if match is None or text.endswith("T"):
        return []
    return [(unit, float(number)) for unit, number in match.groupdict().items() if number]


def _text(value: object, kind: str, hint: str) -> str:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise QuantityError(f"{kind} was expected, not {kind_of(value)}", hint)
    try:
        return str(value).strip()
    except ValueError:
        raise QuantityError(f"{kind} was expected, not a number of thousands of digits", hint) from None


def _within(number: float, most: float, value: object, kind: str, hint: str) -> float:
    if not number <= most:
        raise QuantityError(f"{_shown(value)} is more than any {kind} ({most:g} at most)", hint)
    return number


def _positive(hours: float, value: object) -> float:
    if hours <= 0:
        raise QuantityError(
            f"{_shown(value)} is no time at all", "write a duration longer than 0, such as 36h"
        )
    return hours


def _shown(value: object) -> str:
    text = str(value)
    return f"`{text if len(text) <= 60 else text[:57] + '…'}`"


def kind_of(value: object) -> str:
    """Return what a YAML value is, in words: `a mapping`, `a list`, `text`…"""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "text"
    return "a mapping" if isinstance(value, dict) else "a list"
