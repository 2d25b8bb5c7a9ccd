"""Signals in order of preference: a zone that one lacks is taken from the next of the same quantity.

A zone that fell back stays with what it fell back to, for the whole plan, and is named with the reason. A
signal that measures something else, or does not say what it measures, never stands in. Live signals that
cover different zones (`eia,entsoe`) share them out: that is no fallback.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

from harchos_infra.grid.signal import Intensity, NoIntensity, Signal, prefetch

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_UNSTATED = "unstated"
_T = TypeVar("_T")


@runtime_checkable
class Ahead(Protocol):
    """A signal with a forecast of its own."""

    def outlook(self, zone: str, now: datetime) -> Intensity | None:
        """Return the forecast from the hour of `now`; None where there is none."""
        ...


@runtime_checkable
class Gappy(Protocol):
    """A signal that gives past hours with their gaps."""

    def history(self, zone: str, start: datetime, hours: int) -> NDArray[np.float64]:
        """Return past hours from the hour of `start`, NaN where there is none."""
        ...


class Fallback:
    """A `Signal` made of several, the first preferred; `fell_back` says which zones others gave, and why."""

    def __init__(self, signals: Sequence[Signal]) -> None:
        """Take two signals or more; the quantity is that of the first."""
        self._signals = signals
        self._measures = [str(signal.describe()["quantity"]) for signal in signals]
        self._serving: dict[str, Signal] = {}
        self.fell_back: dict[str, dict[str, str]] = {}

    @property
    def name(self) -> str:
        """The names in order, as in `--signal`."""
        return ",".join(signal.name for signal in self._signals)

    def intensity(self, zone: str, start: datetime, hours: int) -> Intensity:
        """Return the values of the first signal that has them all; raise NoIntensity if none has."""
        return self._first(zone, lambda signal: signal.intensity(zone, start, hours))

    def outlook(self, zone: str, now: datetime) -> Intensity | None:
        """Return the outlook of the signal that serves the zone."""
        serving = self._serving.get(zone, self._signals[0])
        return serving.outlook(zone, now) if isinstance(serving, Ahead) else None

    def history(self, zone: str, start: datetime, hours: int) -> NDArray[np.float64]:
        """Return past hours from the hour of `start`, NaN where the serving signal has none."""
        return self._first(zone, lambda signal: _history(signal, zone, start, hours))

    def prefetch(self, zones: Iterable[str], start: datetime, hours: int) -> None:
        """Let each signal read ahead what those before it lack."""
        wanted = set(zones)
        for signal in self._signals:
            prefetch(signal, wanted, start, hours)
            wanted = {zone for zone in wanted if not _has(signal, zone, start, hours)}
            if not wanted:
                break

    def zones(self) -> frozenset[str]:
        """Return the zones that any of the signals knows."""
        return frozenset().union(*(signal.zones() for signal in self._signals))

    def fingerprint(self) -> str:
        """Return a sha256 over those of the signals, and which zone came from which."""
        digest = sha256("".join(signal.fingerprint() for signal in self._signals).encode())
        digest.update(repr(sorted((zone, by.name) for zone, by in self._serving.items())).encode())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return what each signal says of itself, and under `fellBack` the zones that fell back."""
        parts = [signal.describe() for signal in self._signals]
        return {
            "name": self.name,
            "source": "; else ".join(str(part["source"]) for part in parts),
            "asOf": "; else ".join(str(part["asOf"]) for part in parts),
            "method": "; else ".join(str(part["method"]) for part in parts),
            "quantity": self._measures[0],
            "fingerprint": self.fingerprint(),
            "signals": parts,
            "fellBack": dict(sorted(self.fell_back.items())),
            "warnings": [*(w for part in parts for w in part.get("warnings", ())), *self._warnings()],
        }

    def _warnings(self) -> Iterable[str]:
        reasons: dict[tuple[str, str], list[str]] = {}
        for zone, fallen in sorted(self.fell_back.items()):
            reasons.setdefault((fallen["to"], fallen["because"]), []).append(zone)
        for (to, because), zones in reasons.items():
            yield f"{', '.join(zones)} fell back to {to}: {because}"

    def _first(self, zone: str, ask: Callable[[Signal], _T]) -> _T:
        """Return what the first signal that may and can answers; it serves the zone from then on."""
        begin = self._signals.index(self._serving[zone]) if zone in self._serving else 0
        because = [self.fell_back[zone]["because"]] if zone in self.fell_back else []
        wanted = self._measures[0]
        for signal, measures in zip(self._signals[begin:], self._measures[begin:], strict=True):
            if signal is not self._signals[0] and (measures != wanted or _UNSTATED in measures):
                because.append(f"{signal.name} measures {measures}, not {wanted}")
                continue
            try:
                found = ask(signal)
            except NoIntensity as error:
                because.append(error.reason)
                continue
            self._serving[zone] = signal
            if self._is_a_fall(zone, signal):
                self.fell_back[zone] = {"to": signal.name, "because": "; ".join(because)}
            return found
        raise NoIntensity(zone, "; ".join(because))

    def _is_a_fall(self, zone: str, signal: Signal) -> bool:
        """Tell a zone that fell back from one that the signals before do not cover and a live one does."""
        before = self._signals[: self._signals.index(signal)]
        return bool(before) and (not isinstance(signal, Ahead) or any(zone in s.zones() for s in before))


def _history(signal: Signal, zone: str, start: datetime, hours: int) -> NDArray[np.float64]:
    if isinstance(signal, Gappy):
        return signal.history(zone, start, hours)
    return signal.intensity(zone, start, hours).gco2_per_kwh


def _has(signal: Signal, zone: str, start: datetime, hours: int) -> bool:
    try:
        signal.intensity(zone, start, hours)
    except NoIntensity:
        return False
    return True
