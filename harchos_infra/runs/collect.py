"""What the hubs of a run left in their mailboxes, copied to `$HARCHOS_HOME/runs/<run>/` and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harchos_infra.errors import HarchosError
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.series import read_series


def collect(boxes: Sequence[Mailbox], directory: Path) -> list[dict[str, Any]]:
    """Copy outputs (checked against their manifest), logs and power; returns the manifest of the outputs.

    `boxes` are in order of time. Each hub goes on with the outputs of the one before, so that the last to
    store any has them all; logs and power follow on each other. Doing it again gives the same files. A file
    whose checksum differs is an error: nothing torn is kept.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    manifest: list[dict[str, Any]] = []
    for box in reversed(boxes):
        found = box.get_json("outputs.json")
        if found is not None:
            manifest = found
            _copy_outputs(box, manifest, directory / "outputs")
            break
    _write(directory / "logs.txt", _joined(boxes, "logs", ".log"))
    _write(directory / "power.jsonl", _joined(boxes, "power", ".jsonl"))
    return manifest


def _copy_outputs(box: Mailbox, manifest: list[dict[str, Any]], directory: Path) -> None:
    for entry in manifest:
        content = box.get(f"outputs/{entry['path']}") or b""
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            raise HarchosError(
                f"output {entry['path']!r} of {box.hub} does not match its checksum", hint="try again"
            )
        _write(directory / entry["path"], content)


def _joined(boxes: Sequence[Mailbox], folder: str, suffix: str) -> bytes:
    return b"".join(chunk for box in boxes for chunk in read_series(box, folder, suffix))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
