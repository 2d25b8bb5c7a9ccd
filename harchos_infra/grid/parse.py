"""The `--signal` option: which source of carbon intensity is meant."""

from __future__ import annotations

from pathlib import Path

from harchos_infra.errors import HarchosError
from harchos_infra.grid.replay import builtin_replay
from harchos_infra.grid.signal import Signal


def parse_signal(text: str | None) -> Signal:
    """Return the signal that `--signal` names: nothing or `replay`, or `replay:ZONEFILE|DIR`."""
    name, _, path = (text or "replay").partition(":")
    if name != "replay" or (text or "").endswith(":"):
        raise HarchosError(
            f"unknown signal {text!r}",
            hint="`replay`, or `replay:PATH` with a file ZONE.csv or a directory of them",
        )
    if not path:
        return builtin_replay()
    from harchos_infra.grid.file_replay import FileReplay

    return FileReplay(Path(path))
