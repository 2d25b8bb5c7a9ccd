"""Runs a ready job the way a hub does: in a copy of its folder, with the HARCHOS_* environment."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@dataclass(frozen=True)
class Hub:
    """The directories of one job."""

    work: Path
    outputs: Path
    checkpoints: Path

    @classmethod
    def at(cls, root: Path, folder: str) -> Hub:
        """Copy the job's folder (`training/digits`) under `root`."""
        hub = cls(root / "work", root / "outputs", root / "checkpoints")
        shutil.copytree(CONFIGS / folder, hub.work, ignore=shutil.ignore_patterns("__pycache__"))
        return hub

    def start(self, command: Sequence[str], **env: str) -> subprocess.Popen[str]:
        """Start the job in a session of its own; its output is one pipe of text."""
        python_first = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        return subprocess.Popen(
            command,
            cwd=self.work,
            env={
                **os.environ,
                "PATH": python_first,
                "HARCHOS_RUN": "test-000000",
                "HARCHOS_HUB": "test-000000-h1",
                "HARCHOS_OUTPUT_DIR": str(self.outputs),
                "HARCHOS_CHECKPOINT_DIR": str(self.checkpoints),
                **env,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, command: Sequence[str], **env: str) -> tuple[int, str]:
        """Run the job to its end; return its exit code and what it printed."""
        process = self.start(command, **env)
        printed, _ = process.communicate(timeout=300)
        return process.returncode, printed
