"""Secrets out of a stream of bytes, also where a secret lies across two chunks."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

MASK = b"***"


class Mask:
    """Replaces each secret value, and its base64 form, by `***`."""

    def __init__(self, values: Iterable[str]) -> None:
        needles: set[bytes] = set()
        for value in values:
            raw = value.encode(errors="surrogateescape")
            encoded = base64.b64encode(raw)
            needles |= {raw, raw.strip(), encoded, encoded.rstrip(b"=")}
        self._needles = sorted((n for n in needles if n), key=lambda n: (-len(n), n))
        self._pattern = re.compile(b"|".join(map(re.escape, self._needles)) or b"(?!)")
        self._longest = len(self._needles[0]) if self._needles else 0
        self._held = b""

    def stream(self) -> Mask:
        """Return a mask of the same secrets for another stream."""
        other = Mask(())
        other._needles, other._pattern, other._longest = self._needles, self._pattern, self._longest
        return other

    def feed(self, data: bytes) -> bytes:
        """Return what can be shown; an end that may be the start of a secret is held back."""
        data, self._held = self._held + data, b""
        shown, position = [], 0
        while True:
            held = self._possible_start(data, position)
            match = self._pattern.search(data, position)
            if match is None or held <= match.start():
                shown.append(data[position:held])
                self._held = data[held:]
                return b"".join(shown)
            shown += [data[position : match.start()], MASK]
            position = match.end()

    def close(self) -> bytes:
        """Return what was held back, at the stream's end."""
        shown, self._held = self._pattern.sub(MASK, self._held), b""
        return shown

    def text(self, text: str) -> str:
        """Return a text on its own with secrets masked."""
        return self._pattern.sub(MASK, text.encode(errors="surrogateescape")).decode(errors="replace")

    def _possible_start(self, data: bytes, position: int) -> int:
        """Return where an unfinished secret may begin; the end of `data` if nowhere."""
        for start in range(max(position, len(data) - self._longest + 1), len(data)):
            tail = data[start:]
            if any(len(n) > len(tail) and n.startswith(tail) for n in self._needles):
                return start
        return len(data)
