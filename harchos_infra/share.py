"""Where the files that ship beside the code are: `terraform/` and `configs/`."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def share_directory(name: str) -> Path:
    """Return the directory `terraform` or `configs`, in a checkout or in an installed wheel."""
    installed = _PACKAGE / "_share" / name
    return installed if installed.is_dir() else _PACKAGE.parent / name


def ready_workloads() -> list[Path]:
    """Return the workloads of `configs/`: they lie in folders named after their types."""
    folders = ("training", "inference", "pipeline", "batch", "dev")
    return sorted(file for name in folders for file in (share_directory("configs") / name).glob("*.yaml"))
