"""Cron expressions in a time zone: when they tick.

Five fields or `@daily` and its like, as Debian's cron has them. Where clocks are put forward, a tick whose
local time is skipped comes at the next one that there is; where they are put back, it comes once, the first
time. An expression whose minute or hour begins with `*` goes by real time: hourly stays hourly.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from itertools import islice
from zoneinfo import ZoneInfo, available_timezones

from harchos_infra.workload.quantity import QuantityError, kind_of

NICKNAMES = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_HINT = "write minute, hour, day of month, month, weekday, such as `0 22 * * MON-FRI`, or @daily"
_FIELDS = 5
_PERIODS_SEEN = 1_500
_A_LEAP_YEAR = datetime(2024, 1, 1, tzinfo=UTC)
_LOOK_BACK = tuple(timedelta(days=days) for days in (1 / 24, 1, 32, 366, 9 * 366))


@dataclass(frozen=True, slots=True)
class Ticks:
    """The ticks of an expression in a time zone, both as `parse_cron` and `parse_timezone` let them pass."""

    cron: str
    timezone: str

    def after(self, moment: datetime) -> Iterator[datetime]:
        """Yield the ticks later than an aware `moment`, in UTC, without end but for that of the calendar."""
        from cronsim import CronSim

        last = moment.astimezone(UTC)
        for local in CronSim(_plain(self.cron), moment.astimezone(ZoneInfo(self.timezone))):
            tick = local.astimezone(UTC)
            if tick > last:
                yield tick
                last = tick

    def next(self, moment: datetime) -> datetime:
        """Return the first tick that is not before `moment`."""
        return next(self.after(moment - timedelta(seconds=1)))

    def latest(self, moment: datetime) -> datetime | None:
        """Return the last tick that is not after `moment`; None where there was none in nine years."""
        for back in _LOOK_BACK:
            found = None
            for tick in self.after(moment - back):
                if tick > moment:
                    break
                found = tick
            if found is not None:
                return found
        return None

    def shortest_h(self) -> float:
        """Return the least time between two ticks, in hours, but for days on which clocks are changed."""
        even = Ticks(self.cron, "UTC").after(_A_LEAP_YEAR)
        shortest, earlier = timedelta.max, next(even)
        for later in islice(even, _PERIODS_SEEN):
            shortest, earlier = min(shortest, later - earlier), later
            if later > _A_LEAP_YEAR + _LOOK_BACK[-1]:
                break
        return shortest.total_seconds() / 3600


def parse_cron(value: object) -> str:
    """Return an expression that ticks, as it was written."""
    if not isinstance(value, str):
        raise QuantityError(f"a cron expression was expected, not {kind_of(value)}", _HINT)
    text = " ".join(value.split())
    if text.startswith("@") and text.lower() not in NICKNAMES:
        raise QuantityError(f"`{text}` is not known", f"write one of {', '.join(NICKNAMES)}, or five fields")
    fields = _plain(text).split()
    if len(fields) != _FIELDS:
        raise QuantityError(f"`{text}` has {len(fields)} fields, not five", _HINT)
    from cronsim import CronSim, CronSimError

    try:
        next(CronSim(_plain(text), _A_LEAP_YEAR))
    except CronSimError as error:
        wrong = str(error).removeprefix("Bad ")
        raise QuantityError(f"`{text}`: the {wrong} is none that there is", _HINT) from None
    except StopIteration:
        raise QuantityError(f"`{text}` never comes: there is no such day", _HINT) from None
    return text


def parse_timezone(value: object) -> str:
    """Return the name of a time zone of the IANA database."""
    hint = "write a name such as Europe/Paris, America/New_York or UTC"
    if not isinstance(value, str):
        raise QuantityError(f"a time zone was expected, not {kind_of(value)}", hint)
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        near = get_close_matches(value, known := sorted(available_timezones()), n=2)
        near += [zone for zone in known if zone.lower().endswith(f"/{value.lower()}")]
        if near:
            hint = f"did you mean {' or '.join(dict.fromkeys(near))}?"
        raise QuantityError(f"`{value:.60}` is not a time zone", hint) from None
    return value


def _plain(cron: str) -> str:
    return NICKNAMES.get(cron.lower(), cron)
