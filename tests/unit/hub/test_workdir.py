"""The working directory's archive: unpacked, or refused where a member would lead out of it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from harchos_infra.hub.job import JobError
from harchos_infra.hub.workdir import unpack


def _archive(path: Path, **member: object) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo("train.py")
        entry.size = 5
        tar.addfile(entry, io.BytesIO(b"pass\n"))
        if member:
            other = tarfile.TarInfo()
            for name, value in member.items():
                setattr(other, name, value)
            tar.addfile(other)
    return path


def test_files_and_links_inside_are_unpacked(tmp_path: Path) -> None:
    archive = _archive(
        tmp_path / "a.tar.gz", name="lib/main.py", type=tarfile.SYMTYPE, linkname="../train.py"
    )
    unpack(archive, tmp_path / "work")
    assert (tmp_path / "work" / "lib" / "main.py").read_text() == "pass\n"


@pytest.mark.parametrize(
    "member",
    [
        {"name": "../outside"},
        {"name": "/etc/outside"},
        {"name": "link", "type": tarfile.SYMTYPE, "linkname": "../../etc"},
        {"name": "link", "type": tarfile.SYMTYPE, "linkname": "/etc"},
        {"name": "link", "type": tarfile.LNKTYPE, "linkname": "../outside"},
        {"name": "device", "type": tarfile.CHRTYPE},
    ],
)
def test_a_member_that_leads_out_is_refused_and_nothing_is_written(
    tmp_path: Path, member: dict[str, object]
) -> None:
    with pytest.raises(JobError, match=r"workdir\.tar\.gz"):
        unpack(_archive(tmp_path / "a.tar.gz", **member), tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_a_torn_archive_is_refused(tmp_path: Path) -> None:
    archive = _archive(tmp_path / "a.tar.gz")
    archive.write_bytes(archive.read_bytes()[:30])
    with pytest.raises(JobError, match="cannot be unpacked"):
        unpack(archive, tmp_path / "work")
