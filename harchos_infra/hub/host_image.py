"""An image without a registry: an empty tree into which this machine's own files are mounted read-only."""

from __future__ import annotations

import hashlib
import io
import sys
import tarfile
from pathlib import Path

from harchos_infra.hub.engine import Engine, EngineError

_FOLDERS = ("etc", "home", "opt", "proc", "root", "run", "sys", "tmp", "dev", "usr", "var/tmp", "harchos")
_TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = (
    "alternatives",
    "ca-certificates",
    "group",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "passwd",
    "pki",
    "protocols",
    "services",
    "ssl",
)


def ensure_host_image(engine: Engine) -> str:
    """Import the tree unless the engine has it; return the image's name. Raises EngineError."""
    tree = _tree()
    name = f"localhost/harchos-host:{hashlib.sha256(tree).hexdigest()[:12]}"
    if not engine.has_image(name):
        try:
            engine.run("import", "-", name, data=tree, timeout_s=60)
        except EngineError:
            if not engine.has_image(name):  # else another hub has just imported it
                raise
    return name


def host_mounts() -> list[Path]:
    """Return what is mounted read-only, at the path it has here: the system, this Python, its packages."""
    wanted = [Path("/usr"), *(Path("/", name) for name in _TOP), *(Path("/etc", name) for name in _ETC)]
    mounts = [
        path for path in wanted if path.exists() and not (path.parent == Path("/") and path.is_symlink())
    ]
    for prefix in (sys.base_prefix, sys.prefix):
        path = Path(prefix)
        if not any(path.is_relative_to(mount) for mount in mounts):
            mounts.append(path)
    return mounts


def _tree() -> bytes:
    """Return the same bytes for machines of the same layout."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in _FOLDERS:
            tar.addfile(_entry(name, tarfile.DIRTYPE))
        for name in _TOP:
            path = Path("/", name)
            if path.is_symlink():
                tar.addfile(_entry(name, tarfile.SYMTYPE, str(path.readlink())))
            elif path.is_dir():
                tar.addfile(_entry(name, tarfile.DIRTYPE))
    return buffer.getvalue()


def _entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.type = kind
    entry.linkname = target
    entry.mode = 0o1777 if name.endswith("tmp") else 0o755
    return entry
