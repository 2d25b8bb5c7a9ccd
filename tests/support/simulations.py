"""A small grid and jobs on it, as the files that `harchos simulate` reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from math import cos, pi
from pathlib import Path

START = datetime(2022, 1, 1, tzinfo=UTC)
ZONES = {"CLEAN": (20.0, 5.0), "MIXED": (200.0, 150.0), "DIRTY": (600.0, 60.0), "LEVEL": (400.0, 0.0)}
"""Mean and daily swing in g/kWh; noon is cleanest."""
COLUMNS = "id,arrival,duration_h,deadline,nodes,power_kw,interruptible,home_zone,restart_kwh,checkpoint_gib"


def write_signal(folder: Path, hours: int = 24 * 12) -> Path:
    """Write a file for each zone; return their directory."""
    signal = folder / "signal"
    signal.mkdir()
    for zone, (mean, swing) in ZONES.items():
        rows = (
            f"{START + timedelta(hours=h):%Y-%m-%dT%H:%M:%SZ},{mean + swing * cos(2 * pi * h / 24):.3f}"
            for h in range(hours)
        )
        (signal / f"{zone}.csv").write_text("timestamp,gco2_per_kwh\n" + "\n".join(rows) + "\n")
    return signal


def write_jobs(folder: Path, count: int = 40, prefix: str = "job") -> Path:
    """Write jobs that arrive over nine days: short and long, patient and urgent, pausable and not."""
    homes = list(ZONES)
    rows = []
    for n in range(count):
        arrival, hours = 216 * n / count, (1.5, 4, 9)[n % 3]
        fields = (f"{prefix}-{n}", f"{arrival:.3f}", hours, f"{arrival + hours + (0, 12, 30)[n % 3]:.3f}")
        rows.append((*fields, 1 + n % 2, 0.7, ("no", "yes")[n // 2 % 2], homes[1 + n % 3], 0.05, 20))
    path = folder / "jobs.csv"
    path.write_text("\n".join([COLUMNS, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return path
