"""The job's outputs in the mailbox: files first, then the manifest `outputs.json`."""

from __future__ import annotations

import json
from pathlib import Path

from harchos_infra.hub.files import ChangingError, regular_files, upload
from harchos_infra.hub.mailbox import Mailbox

UNITS = "units.json"


def upload_outputs(mailbox: Mailbox, directory: Path) -> list[str]:
    """Upload `$HARCHOS_OUTPUT_DIR`; return what was refused. Raises MailboxError, OSError."""
    found, refused = regular_files(directory)
    items = []
    for path in found:
        try:
            items.append(upload(mailbox, directory, path, f"outputs/{path}"))
        except ChangingError:
            items.append(upload(mailbox, directory, path, f"outputs/{path}"))
    mailbox.put_json("outputs.json", [item.to_json() for item in items])
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
