"""Bytes that wait to be shipped, in order: a little in memory, the rest in files."""

from __future__ import annotations

import os
import shutil
from collections import deque
from dataclasses import dataclass
from pathlib import Path

MEMORY_BYTES = 8 << 20
FILE_BYTES = 16 << 20
DISK_LEFT_BYTES = 1 << 30
"""What is left free on the disk, for the job."""
FULL_BYTES = 64 << 20
"""What is kept in memory when the disk takes no more; beyond it the oldest goes."""
_PIECE_BYTES = 1 << 16


@dataclass(slots=True)
class _File:
    """A file of the spool, read up to `start`."""

    path: Path
    start: int
    end: int


class Spool:
    """A queue of bytes; not safe for threads."""

    def __init__(self, directory: Path) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        self._directory = directory
        self._pieces: deque[bytearray | _File] = deque()
        self._in_memory = 0
        self._held = 0
        self._files = 0
        self.lost = 0
        """Bytes that were dropped because neither disk nor memory had room; the reader may set it to 0."""

    def __len__(self) -> int:
        return self._held

    def add(self, data: bytes) -> None:
        """Put bytes at the end."""
        self._held += len(data)
        if self._in_memory + len(data) <= MEMORY_BYTES or not self._write(data):
            self._remember(data)
        while self._in_memory > FULL_BYTES:
            self._drop()

    def take(self, size: int) -> bytes:
        """Remove up to so many bytes from the front."""
        parts: list[bytes] = []
        while size > 0 and self._pieces:
            part = self._from(self._pieces[0], size)
            size -= len(part)
            parts.append(part)
        return b"".join(parts)

    def close(self) -> None:
        """Remove the files."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _remember(self, data: bytes) -> None:
        last = self._pieces[-1] if self._pieces else None
        if isinstance(last, bytearray) and len(last) < _PIECE_BYTES:
            last += data
        else:
            self._pieces.append(bytearray(data))
        self._in_memory += len(data)

    def _write(self, data: bytes) -> bool:
        """Append to the last file or to a new one; False if the disk takes no more."""
        last = self._pieces[-1] if self._pieces else None
        try:
            if not isinstance(last, _File) or last.end >= FILE_BYTES:
                self._directory.mkdir(parents=True, exist_ok=True)
                disk = os.statvfs(self._directory)
                if disk.f_bavail * disk.f_frsize < DISK_LEFT_BYTES:
                    return False
                self._files += 1
                last = _File(self._directory / f"{self._files:08}", 0, 0)
                last.path.touch()
                self._pieces.append(last)
            with last.path.open("r+b") as file:
                file.truncate(last.end)  # of a write that found the disk full half-way
                file.seek(last.end)
                file.write(data)
        except OSError:
            return False
        last.end += len(data)
        return True

    def _from(self, piece: bytearray | _File, size: int) -> bytes:
        if isinstance(piece, bytearray):
            part = bytes(piece[:size])
            del piece[:size]
            self._in_memory -= len(part)
            empty = not piece
        else:
            with piece.path.open("rb") as file:
                file.seek(piece.start)
                part = file.read(min(size, piece.end - piece.start))
            piece.start += len(part)
            empty = piece.start >= piece.end
            if empty:
                piece.path.unlink(missing_ok=True)
        if empty:
            self._pieces.popleft()
        self._held -= len(part)
        return part

    def _drop(self) -> None:
        piece = self._pieces.popleft()
        if isinstance(piece, bytearray):
            size = len(piece)
            self._in_memory -= size
        else:
            size = piece.end - piece.start
            piece.path.unlink(missing_ok=True)
        self._held -= size
        self.lost += size
