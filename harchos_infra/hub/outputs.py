"""The job's outputs in the mailbox: files first, then the manifest `outputs.json`."""

from __future__ import annotations

import json
from pathlib import Path

from harchos_infra.hub.files import ChangingError, Item, download, regular_files, upload
from harchos_infra.hub.mailbox import Mailbox, MailboxError

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


def restore_outputs(mailbox: Mailbox, directory: Path) -> int:
    """Bring back the outputs of the hub before, if this one goes on from its work; return how many files.

    Raises MailboxError where one is not what the manifest says.
    """
    try:
        items = [
            Item(str(o["path"]), int(o["bytes"]), str(o["sha256"]))
            for o in mailbox.get_json("outputs.json") or []
        ]
    except (TypeError, KeyError, ValueError) as error:
        raise MailboxError("outputs.json cannot be read") from error
    for item in items:
        download(mailbox, f"outputs/{item.path}", item, directory)
    return len(items)


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
