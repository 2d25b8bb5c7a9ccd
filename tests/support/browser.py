"""Headless Chromium as a reader's browser: what a page looks like, what it asks for, what it complains of."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

NAMES = ("chromium", "chromium-browser", "google-chrome")
LEAST_WINDOW_PX = 500
"""No window is narrower: a phone's page is looked at in a frame."""


def find() -> str | None:
    """Return the browser's path, None where there is none."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


@dataclass(frozen=True)
class Look:
    """A page in the browser. `pixels` has the shape (height, width, 3)."""

    pixels: np.ndarray
    console: list[str]
    requested: list[str]

    def where(self, colour: str) -> np.ndarray:
        """Return the (rows, columns) of all pixels of exactly that `#rrggbb`, shape (n, 2)."""
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        return np.argwhere((self.pixels == wanted).all(axis=2))

    def count(self, colour: str) -> int:
        """Return how many pixels have exactly that colour."""
        return len(self.where(colour))


def look(page: Path, folder: Path, *, width: int, height: int, dark: bool = False) -> Look:
    """Open a page in a browser of its own, which reaches no network, and take a picture of it."""
    shot, net = folder / "shot.png", folder / "net.json"
    shot.unlink(missing_ok=True)
    shown = page if width >= LEAST_WINDOW_PX else _framed(page, folder, width, height)
    done = _run(
        shown,
        folder,
        f"--screenshot={shot}",
        f"--log-net-log={net}",
        "--enable-logging=stderr",
        f"--window-size={max(width, LEAST_WINDOW_PX)},{height}",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
    )
    assert shot.is_file(), done.stderr
    console = [line for line in done.stderr.splitlines() if ":CONSOLE:" in line]
    return Look(_decoded(shot.read_bytes())[:, :width], console, _requested(net))


def scroll_width(page: Path, folder: Path, *, width: int) -> int:
    """Return how wide a page is when it is given `width` pixels; more means that it scrolls sideways."""
    probe = folder / "probe.html"
    report = "<script>parent.postMessage(document.documentElement.scrollWidth, '*')</script></body>"
    probe.write_text(page.read_text().replace("</body>", report))
    frame = _framed(probe, folder, width, 900)
    listen = "<script>onmessage = e => document.documentElement.dataset.wide = e.data</script>"
    frame.write_text(frame.read_text().replace("<iframe", f"{listen}<iframe"))
    done = _run(frame, folder, "--dump-dom", "--virtual-time-budget=2000")
    found = re.search(r'data-wide="(\d+)"', done.stdout)
    assert found, done.stdout[:300]
    return int(found[1])


def _run(page: Path, folder: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    profile = folder / "profile"
    shutil.rmtree(profile, ignore_errors=True)
    browser = find()
    assert browser is not None
    return subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--host-resolver-rules=MAP * ~NOTFOUND",
            "--hide-scrollbars",
            "--force-color-profile=srgb",
            f"--user-data-dir={profile}",
            *flags,
            page.resolve().as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )


def _framed(page: Path, folder: Path, width: int, height: int) -> Path:
    frame = folder / "frame.html"
    frame.write_text(
        '<!doctype html><meta charset="utf-8"><meta name="color-scheme" content="light dark">'
        f'<body style="margin:0"><iframe src="{page.resolve().as_uri()}" '
        f'style="border:0;display:block;width:{width}px;height:{height}px"></iframe>'
    )
    return frame


def _requested(net_log: Path) -> list[str]:
    """Return what the page itself asked for; the browser's own requests have no origin."""
    events: list[dict[str, Any]] = json.loads(net_log.read_text())["events"]
    parameters = (event.get("params") or {} for event in events)
    return [p["url"] for p in parameters if p.get("initiator", "not an origin") != "not an origin"]


def _decoded(png: bytes) -> np.ndarray:
    """Return the pixels of an 8-bit RGB or RGBA file, without alpha."""
    width, height, depth, kind = struct.unpack(">IIBB", png[16:26])
    assert (depth, kind) in ((8, 2), (8, 6)), "8-bit RGB or RGBA"
    channels = 3 if kind == 2 else 4
    data, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += length + 12
    raw = np.frombuffer(zlib.decompress(data), np.uint8).reshape(height, 1 + channels * width)
    rows = np.zeros((height, width, channels), np.uint8)
    above = np.zeros((width, channels), np.uint8)
    for number, line in enumerate(raw):
        above = rows[number] = _unfiltered(int(line[0]), line[1:].reshape(width, channels), above)
    return rows[:, :, :3]


def _unfiltered(kind: int, line: np.ndarray, above: np.ndarray) -> np.ndarray:
    """Undo a row's filter (PNG specification, 9.2): none, left, above, their average, or Paeth's choice."""
    if kind == 0:
        return line
    if kind == 1:
        return np.cumsum(line, axis=0, dtype=np.uint8)
    if kind == 2:
        return line + above
    found = np.zeros_like(line)
    for channel in range(line.shape[1]):
        left = corner = 0
        column: list[int] = []
        for value, up in zip(line[:, channel].tolist(), above[:, channel].tolist(), strict=True):
            guess = (left + up) // 2 if kind == 3 else _paeth(left, up, corner)
            left, corner = (value + guess) & 255, up
            column.append(left)
        found[:, channel] = column
    return found


def _paeth(left: int, up: int, corner: int) -> int:
    across, down, diagonal = abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)
    if across <= down and across <= diagonal:
        return left
    return up if down <= diagonal else corner
