"""The job's outputs in the mailbox: files first, then the manifest `outputs.json`."""

from __future__ import annotations

import json
from pathlib import Path

from harchos_infra.hub.files import ChangingError, Uploads, regular_files
from harchos_infra.hub.mailbox import Mailbox

UNITS = "units.json"


class Outputs:
    """`$HARCHOS_OUTPUT_DIR` of one job."""

    def __init__(self, mailbox: Mailbox, directory: Path) -> None:
        self._mailbox = mailbox
        self._directory = directory
        self._uploads = Uploads(mailbox, directory)

    def upload(self) -> list[str]:
        """Upload what is there; return what was refused. Raises MailboxError, OSError: then call again."""
        found, refused = regular_files(self._directory)
        items = []
        for path in found:
            try:
                items.append(self._uploads.upload(path, f"outputs/{path}"))
            except ChangingError:
                items.append(self._uploads.upload(path, f"outputs/{path}"))
        self._mailbox.put_json("outputs.json", [item.to_json() for item in items])
        return refused


def reported_units(directory: Path) -> dict[str, float]:
    """Return the numbers in `units.json`, if the job left any."""
    try:
        value = json.loads((directory / UNITS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(value, dict):
        return {}
    return {
        str(name): float(n)
        for name, n in value.items()
        if isinstance(n, int | float) and not isinstance(n, bool)
    }
