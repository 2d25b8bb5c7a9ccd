"""What the hubs of a run left in their mailboxes, copied to `$HARCHOS_HOME/runs/<run>/` and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harchos_infra.errors import HarchosError
from harchos_infra.hub.files import Item
from harchos_infra.hub.mailbox import Mailbox
from harchos_infra.hub.outputs import Found, put_out
from harchos_infra.hub.series import read_series
from harchos_infra.runs.logs import prefixed


def collect(hubs: Sequence[Sequence[Mailbox]], directory: Path) -> list[dict[str, Any]]:
    """Copy outputs (checked against their manifest), logs and power; returns the manifest of the outputs.

    `hubs` are in order of time, each the mailboxes of its nodes. Each hub goes on with the outputs of the one
    before, so that the last to store any has them all; logs and power follow on each other, those of a hub's
    nodes one after the other. Doing it again gives the same files. A file whose checksum differs is an error:
    nothing torn is kept.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = next((found for boxes in reversed(hubs) if (found := put_out(boxes)) is not None), [])
    _write(directory / "logs.txt", b"".join(_logs(boxes) for boxes in hubs))
    _write(
        directory / "power.jsonl",
        b"".join(_joined(box, "power", ".jsonl") for boxes in hubs for box in boxes),
    )
    return copy_outputs(found, directory)


def copy_outputs(found: Sequence[Found], directory: Path) -> list[dict[str, Any]]:
    """Copy files that were put out to `outputs/`, checked; returns their manifest."""
    for box, name, item in found:
        _copy_output(box, name, item, directory / "outputs")
    return [item.to_json() for _, _, item in found]


def _copy_output(box: Mailbox, name: str, item: Item, directory: Path) -> None:
    content = box.get(name) or b""
    if hashlib.sha256(content).hexdigest() != item.sha256:
        raise HarchosError(f"output {item.path!r} of {box.hub} does not match its checksum", hint="try again")
    _write(directory / item.path, content)


def _logs(boxes: Sequence[Mailbox]) -> bytes:
    texts = (_joined(box, "logs", ".log") for box in boxes)
    return b"".join(prefixed(text, node, len(boxes)) for node, text in enumerate(texts))


def _joined(box: Mailbox, folder: str, suffix: str) -> bytes:
    return b"".join(read_series(box, folder, suffix))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)
