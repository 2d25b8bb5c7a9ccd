"""What a hub left in its mailbox, copied to `$HARCHOS_HOME/runs/<run>/` and checked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from harchos_infra.errors import HarchosError
from harchos_infra.hub.mailbox import Mailbox


def collect(box: Mailbox, directory: Path) -> list[dict[str, Any]]:
    """Copy outputs (checked against their manifest), logs and power; returns the manifest of the outputs.

    Doing it again gives the same files. A file whose checksum differs is an error: nothing torn is kept.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    manifest: list[dict[str, Any]] = box.get_json("outputs.json") or []
    for entry in manifest:
        content = box.get(f"outputs/{entry['path']}") or b""
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise HarchosError(
                f"output {entry['path']!r} of {box.hub} does not match its checksum", hint="try again"
            )
        _write(directory / "outputs" / entry["path"], content)
    _write(directory / "logs.txt", _joined(box, "logs"))
    _write(directory / "power.jsonl", _joined(box, "power"))
    return manifest


def _joined(box: Mailbox, folder: str) -> bytes:
    return b"".join(box.get(entry.name) or b"" for entry in box.list(folder))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
