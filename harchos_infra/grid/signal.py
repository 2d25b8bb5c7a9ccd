"""Carbon intensity as a signal: what it measures is part of its type, so that two kinds never mix."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from harchos_infra.errors import HarchosError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Basis:
    """What an intensity measures and where it comes from.

    The first three are its type: signals that differ in one of them are different quantities.
    """

    kind: Literal["average", "marginal"]
    factors: Literal["life-cycle", "direct", "unstated"]
    scope: Literal["consumption", "production", "unstated"]
    source: str
    method: str
    """How the figure came about, such as `replay of 2022 scaled to the 2025 yearly average`."""
    flat: bool = False
    """The figure is a yearly average: it does not vary from hour to hour."""
    estimated: bool = False
    """The figure is not a measurement or forecast of the hour it stands for."""

    @property
    def quantity(self) -> str:
        """The type in words: `average life-cycle consumption-based`."""
        return f"{self.kind} {self.factors} {self.scope}-based"

    def __str__(self) -> str:
        return f"{self.quantity}; {self.method}; {self.source}"


@dataclass(frozen=True, slots=True)
class Intensity:
    """Carbon intensity of one zone over equal steps from `start`, in gCO2eq/kWh."""

    zone: str
    start: datetime
    gco2_per_kwh: NDArray[np.float64]
    basis: Basis
    step_s: int = 3600


class NoIntensity(HarchosError):  # noqa: N818 - a fact about a zone, named for it
    """A signal has no figure for a zone, and why."""

    def __init__(self, zone: str, reason: str, *, hint: str | None = None) -> None:
        super().__init__(f"no carbon intensity for zone {zone}: {reason}", hint=hint)
        self.zone = zone
        self.reason = reason


class ShortHorizon(NoIntensity):
    """The hours asked for reach past what the source forecasts; `hours` of them are there."""

    def __init__(self, zone: str, reason: str, hours: int) -> None:
        hint = f"ask for {hours} h" if hours > 0 else None
        super().__init__(zone, reason, hint=hint)
        self.hours = hours


class Signal(Protocol):
    """A source of carbon intensity: replayed or live."""

    @property
    def name(self) -> str:
        """Short name shown with every figure: `replay`."""
        ...

    def intensity(self, zone: str, start: datetime, hours: int) -> Intensity:
        """Return `hours` hourly values from the hour of `start` (aware); raise NoIntensity if there are none.

        A source with a shorter horizon raises too: it never pads.
        """
        ...

    def zones(self) -> frozenset[str]:
        """Return the zones that this signal knows."""
        ...

    def fingerprint(self) -> str:
        """Return a sha256 that changes whenever a figure could."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return name, source, as-of date and method, for the inputs of a plan."""
        ...


@runtime_checkable
class ReadsAhead(Protocol):
    """A signal that reads many zones faster at once than one by one."""

    def prefetch(self, zones: Iterable[str], start: datetime, hours: int) -> None:
        """Read what `intensity` will be asked for; whatever fails, fails again when it is."""
        ...


def prefetch(signal: Signal, zones: Iterable[str], start: datetime, hours: int) -> None:
    """Let a signal read many zones at once; one that has them at hand has nothing to do."""
    if isinstance(signal, ReadsAhead):
        signal.prefetch(zones, start, hours)


def check_same_factors(bases: Iterable[Basis]) -> None:
    """Raise HarchosError if intensities of different quantities are about to be compared or added up."""
    quantities = sorted({basis.quantity for basis in bases})
    if len(quantities) > 1:
        raise HarchosError(
            f"carbon intensities of different quantities cannot be compared: {' and '.join(quantities)}",
            hint="take every zone from one signal",
        )


def nearest_zone(zone: str, known: Iterable[str]) -> str | None:
    """Return a hint that names the known zone nearest to a mistyped one; None if none comes near."""
    from difflib import get_close_matches

    near = get_close_matches(zone.upper(), list(known), n=1)
    return f"did you mean {near[0]!r}?" if near else None


def hour_of(moment: datetime) -> datetime:
    """Return the start of the UTC hour that `moment`, an aware time, lies in."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
