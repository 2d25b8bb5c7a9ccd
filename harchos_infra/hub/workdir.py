"""The job's working directory, unpacked from `workdir.tar.gz`."""

from __future__ import annotations

import tarfile
from pathlib import Path, PurePosixPath

from harchos_infra.hub.job import JobError


def unpack(archive: Path, directory: Path) -> None:
    """Unpack into a directory; members that would lead out of it make it a JobError."""
    try:
        with tarfile.open(archive) as tar:
            members = tar.getmembers()
            for member in members:
                _check(member)
            if hasattr(tarfile, "data_filter"):  # Python 3.11.4 and later
                tar.extraction_filter = tarfile.data_filter
            tar.extractall(directory, members=members)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise JobError(f"workdir.tar.gz cannot be unpacked: {error}") from error


def _check(member: tarfile.TarInfo) -> None:
    parts = [PurePosixPath(member.name)]
    if member.issym():
        parts.append(PurePosixPath(member.name).parent / member.linkname)
    elif member.islnk():
        parts.append(PurePosixPath(member.linkname))
    elif not (member.isfile() or member.isdir()):
        raise JobError(f"workdir.tar.gz: {member.name} is neither file, directory nor link")
    for path in parts:
        depth = 0
        for part in path.parts:
            depth += -1 if part == ".." else 1
            if depth < 0 or path.is_absolute():
                raise JobError(f"workdir.tar.gz: {member.name} leads out of the working directory")
