"""The job's outputs in the mailbox: files first, then the manifest `outputs.json`.

What the hub before had put out lies under `carried/`, its manifest is `carried.json`: a hub that dies while
it stores its own leaves that whole.
"""

from __future__ import annotations

import json
from pathlib import Path

from harchos_infra.hub.files import ChangingError, DamagedError, Item, Uploads, download, regular_files
from harchos_infra.hub.mailbox import Mailbox, MailboxError

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


def restore_outputs(mailbox: Mailbox, directory: Path) -> int:
    """Bring back the outputs of the hub before, if this one goes on from its work; return how many files.

    Raises MailboxError where one is not what the manifest says.
    """
    try:
        items = [
            Item(str(o["path"]), int(o["bytes"]), str(o["sha256"]))
            for o in mailbox.get_json("carried.json") or []
        ]
    except (TypeError, KeyError, ValueError) as error:
        raise MailboxError("carried.json cannot be read") from error
    try:
        for item in items:
            download(mailbox, f"carried/{item.path}", item, directory)
    except DamagedError as error:
        raise MailboxError(f"carried outputs in {mailbox.url}: {error}") from error
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
