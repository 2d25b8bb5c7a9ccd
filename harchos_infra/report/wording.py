"""Quantities in words: units always shown, three significant digits, a true minus sign."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from math import floor, log10

from harchos_infra.report.interval import Interval

UNKNOWN = "unknown"


def significant(value: float, digits: int = 3) -> str:
    """Return a number with that many significant digits, never in exponent notation."""
    if value == 0:
        return "0"
    decimals = digits - 1 - floor(log10(abs(value)))
    return f"{value:,.{max(0, decimals)}f}".replace("-", "−")


def grams(value: float) -> str:
    """Return gCO2e as `412 g` or `1.23 kg`."""
    return f"{significant(value / 1000)} kg" if abs(value) >= 1000 else f"{significant(value)} g"


def kwh(value: float) -> str:
    """Return kWh, small ones as Wh."""
    return f"{significant(value * 1000)} Wh" if 0 < abs(value) < 0.1 else f"{significant(value)} kWh"


def usd(value: float) -> str:
    """Return USD to the cent; less than a dollar to three significant digits."""
    size = abs(value)
    digits = f"{size:,.2f}" if size >= 1 or size == 0 else significant(size)
    return f"{'−' if value < 0 else ''}${digits}"


def intensity(value: float) -> str:
    """Return gCO2e per kWh."""
    return f"{significant(value)} g/kWh"


def share(value: float) -> str:
    """Return a share as a signed percentage; less than a twentieth of a percent is nothing."""
    return (
        "0 %"
        if abs(value) < 0.0005
        else signed(value * 100, lambda v: f"{significant(v, 3 if abs(v) >= 100 else 2)} %")
    )


def percent(value: float) -> str:
    """Return a part of a whole; all and nothing are said only where they are exact."""
    if 0 < value < 0.001 or 0.999 < value < 1:
        return "< 0.1 %" if value < 0.5 else "> 99.9 %"
    return f"{value * 100:.1f}".removesuffix(".0") + " %"


def signed(value: float, word: Callable[[float], str]) -> str:
    """Return the quantity with `+` where it is positive."""
    return f"+{word(value)}" if value > 0 else word(value)


def interval(value: Interval, word: Callable[[float], str]) -> str:
    """Return one quantity, or `1.00 to 60.0 g` where the bounds differ as shown."""
    low, high = word(value.low), word(value.high)
    if low == high:
        return low
    number, _, unit = low.rpartition(" ")
    return f"{number} to {high}" if number and high.endswith(f" {unit}") else f"{low} to {high}"


def known(value: float | None, word: Callable[[float], str], missing: str = UNKNOWN) -> str:
    """Return the quantity, or the word for a missing one."""
    return missing if value is None else word(value)


def duration(seconds: float) -> str:
    """Return a length of time with its two largest units: `1 h 12 min`."""
    if seconds < 0:
        return f"−{duration(-seconds)}"
    if seconds < 60:
        return f"{significant(seconds, 2 if seconds < 10 else 3)} s" if seconds else "0 s"
    left = round(seconds)
    parts: list[str] = []
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
    return " ".join(part for part in parts[:2] if part)


def utc(at: datetime, *, seconds: bool = False) -> str:
    """Return a time as `2026-11-23 14:00 UTC`."""
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC" if seconds else "%Y-%m-%d %H:%M UTC")
