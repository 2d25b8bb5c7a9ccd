"""The marks of a hub on Google Cloud: labels, and a description on what can have no labels.

Labels are `harchos-run`, `harchos-hub`, `harchos-expires` (`2026-11-24t06-00-00z`). Networks, subnetworks,
firewalls, routers, resource policies and service accounts have none; their description holds the same marks
as `harchos-run=RUN harchos-hub=HUB harchos-expires=TIME`. A name is never a mark: names are cut, and others
may use the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

_PAIR = re.compile(r"harchos[-:](run|hub|expires)\s*[=:]\s*([^\s,;]+)")
_TIME_LABEL = re.compile(r"(\d{4}-\d\d-\d\d)t(\d\d)-(\d\d)-(\d\d)z")


@dataclass(frozen=True, slots=True)
class Marks:
    """Whose a resource is. What belongs to a whole run (a secret) has no hub: an empty one."""

    run: str
    hub: str
    expires: datetime | None

    def match(self, run: str | None, hub: str | None) -> bool:
        """Return whether these marks name the run and the hub, where they are given."""
        return (run is None or label_value(run) == label_value(self.run)) and (
            hub is None or label_value(hub) == label_value(self.hub)
        )


def label_value(text: str) -> str:
    """Return text as a label can hold it: 63 of lower-case letters, digits, `-` and `_`."""
    return re.sub(r"[^a-z0-9_-]", "-", text.lower())[:63]


def of_labels(labels: Mapping[str, str]) -> Marks | None:
    """Return the marks among labels; None: the resource is not ours."""
    return _marks({name.removeprefix("harchos-"): value for name, value in labels.items()})


def of_description(text: str) -> Marks | None:
    """Return the marks in a description; None: the resource is not ours."""
    return _marks(dict(_PAIR.findall(text)))


def _marks(values: Mapping[str, str]) -> Marks | None:
    run, hub = values.get("run", ""), values.get("hub", "")
    if not (run or hub):
        return None
    return Marks(run or hub.rpartition("-h")[0] or hub, hub, _time(values.get("expires", "")))


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(_TIME_LABEL.sub(r"\1T\2:\3:\4Z", text.lower()).upper())
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
