"""The workload's `workdir`, packed for the hub."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from harchos_infra.errors import HarchosError

MAX_BYTES = 256 * 2**20
_LEFT_OUT = frozenset(
    {".git", "__pycache__", ".venv", ".terraform", "node_modules", ".mypy_cache", ".ruff_cache"}
)


def pack(directory: Path) -> bytes:
    """Return `directory` as a gzipped tar, without caches and `.git`."""
    if not directory.is_dir():
        raise HarchosError(
            f"{directory}: `workdir` is not a directory", hint="it is relative to the workload file"
        )
    packed = io.BytesIO()
    total = 0
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as tar:
        for path in sorted(directory.rglob("*")):
            relative = path.relative_to(directory)
            if _LEFT_OUT & set(relative.parts) or not (path.is_file() or path.is_symlink() or path.is_dir()):
                continue
            total += path.stat().st_size if path.is_file() else 0
            if total > MAX_BYTES:
                raise HarchosError(
                    f"{directory}: `workdir` holds more than {MAX_BYTES >> 20} MiB",
                    hint="keep data out of it and name it under `data`",
                )
            tar.add(path, arcname=str(relative), recursive=False, filter=_plain)
    return packed.getvalue()


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    return member
