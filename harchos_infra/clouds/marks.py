"""The marks of a hub on a rented cloud: labels or tags, and a description on what can have none.

Google Cloud: labels `harchos-run`, `harchos-hub`, `harchos-expires` (`2026-11-24t06-00-00z`). Azure: tags
`harchos:run`, `harchos:hub`, `harchos:expires`. Networks, service accounts, role assignments and the like
have neither; their description holds the same as `harchos-run=RUN harchos-hub=HUB harchos-expires=TIME`.
A name is never a mark: names are cut, and others may use the same.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

_KEY = re.compile(r"harchos[-:](run|hub|expires)")
_PAIR = re.compile(r"(harchos[-:](?:run|hub|expires))=(\S+)")
_TIME_LABEL = re.compile(r"(\d{4}-\d\d-\d\d)t(\d\d)-(\d\d)-(\d\d)z")
_LABEL_LENGTH = 63


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
    """Return a name as Google's labels can hold it: at most 63 of lower-case letters, digits, `-` and `_`.

    One that is longer ends in the beginning of its SHA-256; the module `gcp-hub` writes labels by this rule.
    """
    value = re.sub(r"[^a-z0-9_-]", "-", text.lower())
    if len(value) <= _LABEL_LENGTH:
        return value
    return f"{value[:54]}-{hashlib.sha256(value.encode()).hexdigest()[:8]}"


def of_labels(labels: Mapping[str, str] | None) -> Marks | None:
    """Return the marks among labels or tags; None: the resource is not ours."""
    values = {found[1]: value for name, value in (labels or {}).items() if (found := _KEY.fullmatch(name))}
    run, hub = values.get("run", ""), values.get("hub", "")
    if not (run or hub):
        return None
    return Marks(run or hub.rpartition("-h")[0] or hub, hub, _time(values.get("expires", "")))


def of_description(text: str | None) -> Marks | None:
    """Return the marks in a description; None: the resource is not ours."""
    return of_labels(dict(_PAIR.findall(text or "")))


def _time(text: str) -> datetime | None:
    try:
        time = datetime.fromisoformat(_TIME_LABEL.sub(r"\1T\2:\3:\4Z", text.lower()).upper())
    except ValueError:
        return None
    return time if time.tzinfo else time.replace(tzinfo=UTC)
