"""The wheel of obstore that a controller puts beside the agent: what a cloud hub needs besides Python.

It is the version that the controller itself runs. It lies here and not in `hub` because it is kept in the
user's home, which `hub` knows nothing of.
"""

from __future__ import annotations

import base64
import hashlib
import platform
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

from harchos_infra.errors import HarchosError
from harchos_infra.settings import home

MACHINES = ("x86_64", "aarch64")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_OF_THIS_INSTALLATION = ("INSTALLER", "RECORD", "REQUESTED", "direct_url.json")
_DOWNLOAD_S = 300


def obstore_wheel(machine: str = "x86_64") -> Path:
    """Return a manylinux wheel of obstore for `x86_64` or `aarch64`, to be unpacked with `zipfile`.

    Taken from `$HARCHOS_HOME/cache/wheels`, else made of the installed distribution where that is for the
    same machine, else downloaded by pip. Raises HarchosError.
    """
    if machine not in MACHINES:
        raise HarchosError(
            f"there is no agent for machines of type {machine!r}", hint=f"known: {', '.join(MACHINES)}"
        )
    version = metadata.version("obstore")
    cache = home() / "cache" / "wheels"
    for kept in sorted(cache.glob(f"obstore-{version}-*manylinux*_{machine}.whl")):
        return kept
    cache.mkdir(parents=True, exist_ok=True)
    return _repackaged(metadata.distribution("obstore"), machine, cache) or _downloaded(
        version, machine, cache
    )


def _repackaged(installed: metadata.Distribution, machine: str, cache: Path) -> Path | None:
    """Zip the installed files up again; None if they are not for that machine or not all there."""
    tags = [
        line.removeprefix("Tag: ")
        for line in (installed.read_text("WHEEL") or "").splitlines()
        if "Tag: " in line
    ]
    tag = next((tag for tag in tags if "manylinux" in tag and tag.endswith(f"_{machine}")), None)
    if tag is None or sys.platform != "linux" or platform.machine() != machine:
        return None
    files = {
        str(file): Path(str(file.locate()))
        for file in installed.files or ()
        if file.suffix != ".pyc" and file.name not in _OF_THIS_INSTALLATION and ".." not in file.parts
    }
    if not any(name.endswith(".so") for name in files) or not all(path.is_file() for path in files.values()):
        return None
    folder = f"obstore-{installed.version}.dist-info"
    target = cache / f"obstore-{installed.version}-{tag}.whl"
    temporary = target.with_suffix(".new")
    record = [f"{folder}/RECORD,,"]
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in sorted(files.items()):
            data = path.read_bytes()
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(data)}")
            _add(archive, name, data)
        _add(archive, f"{folder}/RECORD", "\n".join(record).encode() + b"\n")
    return temporary.replace(target)


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)


def _downloaded(version: str, machine: str, cache: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=cache) as directory:
        command = [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"),
            *("--only-binary=:all:", "--implementation", "cp", "--abi", "abi3", "--python-version", "311"),
            *("--platform", f"manylinux_2_17_{machine}", "--platform", f"manylinux_2_28_{machine}"),
            *("--platform", f"manylinux2014_{machine}", "--dest", directory, f"obstore=={version}"),
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_S, check=False)
            said = (done.stderr or done.stdout).strip().splitlines()
        except subprocess.TimeoutExpired:
            said = [f"no answer within {_DOWNLOAD_S} s"]
        for wheel in Path(directory).glob("*.whl"):
            return wheel.replace(cache / wheel.name)
    raise HarchosError(
        f"the wheel of obstore {version} for {machine}, which a hub on a cloud needs, cannot be had: "
        f"{said[-1] if said else 'pip says nothing'}",
        hint=f"put obstore-{version}-cp311-abi3-manylinux_2_17_{machine}.whl into {cache}",
    )
