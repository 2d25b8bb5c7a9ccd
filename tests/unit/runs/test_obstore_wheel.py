"""The wheel of obstore for hubs on clouds: from the installed one, from a cache, or by pip."""

from __future__ import annotations

import platform
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.runs.obstore_wheel import obstore_wheel

VERSION = metadata.version("obstore")
HERE = platform.machine()
OTHER = "aarch64" if HERE == "x86_64" else "x86_64"

pytestmark = pytest.mark.skipif(HERE not in ("x86_64", "aarch64"), reason="hubs are x86_64 or aarch64")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep wheels in a home of this test's own; pip reaches no index."""
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    return tmp_path / "home" / "cache" / "wheels"


def test_the_installed_distribution_makes_the_same_wheel_each_time(cache: Path) -> None:
    wheel = obstore_wheel(HERE)
    assert wheel.parent == cache and wheel.name.startswith(f"obstore-{VERSION}-cp311-abi3-manylinux")
    first = wheel.read_bytes()
    wheel.unlink()
    assert obstore_wheel(HERE).read_bytes() == first


def test_pip_takes_the_wheel_for_a_real_one(tmp_path: Path) -> None:
    wheel = obstore_wheel(HERE)
    command = ["install", "--quiet", "--no-deps", "--target", str(tmp_path / "site"), str(wheel)]
    subprocess.run([sys.executable, "-m", "pip", *command], check=True, capture_output=True)
    assert (tmp_path / "site" / "obstore" / "_obstore.abi3.so").stat().st_size > 1 << 20


def test_a_wheel_that_is_kept_is_taken_as_it_is(cache: Path) -> None:
    cache.mkdir(parents=True)
    kept = cache / f"obstore-{VERSION}-cp311-abi3-manylinux_2_17_{OTHER}.whl"
    kept.write_bytes(b"kept")
    assert obstore_wheel(OTHER) == kept


def test_a_wheel_for_another_machine_is_downloaded(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    index.mkdir()
    name = f"obstore-{VERSION}-cp311-abi3-manylinux_2_17_{OTHER}.manylinux2014_{OTHER}.whl"
    with zipfile.ZipFile(index / name, "w") as archive:
        archive.writestr(
            f"obstore-{VERSION}.dist-info/METADATA",
            f"Metadata-Version: 2.1\nName: obstore\nVersion: {VERSION}\n",
        )
        archive.writestr(f"obstore-{VERSION}.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n")
        archive.writestr(f"obstore-{VERSION}.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    assert obstore_wheel(OTHER) == cache / name
    monkeypatch.delenv("PIP_FIND_LINKS")
    assert obstore_wheel(OTHER) == cache / name


def test_a_wheel_that_cannot_be_had_says_where_to_put_it(cache: Path) -> None:
    with pytest.raises(HarchosError, match=f"for {OTHER}.*cannot be had") as caught:
        obstore_wheel(OTHER)
    assert caught.value.hint and str(cache) in caught.value.hint
    assert list(cache.iterdir()) == []


def test_an_unknown_machine_is_refused() -> None:
    with pytest.raises(HarchosError, match="riscv64"):
        obstore_wheel("riscv64")
