"""What a hub on a cloud has: a Python without any package, the agent's one file, and one wheel beside it."""

from __future__ import annotations

import platform
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from harchos_infra.hub.package import build_agent
from harchos_infra.runs.obstore_wheel import obstore_wheel
from support.agent import Hub


@pytest.fixture
def bare(tmp_path: Path) -> str:
    """Return a Python that can import nothing but its standard library."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    python = str(tmp_path / "bare" / "bin" / "python3")
    for package in ("obstore", "pydantic", "yaml"):
        missing = subprocess.run([python, "-c", f"import {package}"], capture_output=True, check=False)
        assert missing.returncode != 0, f"this Python has {package}"
    return python


def test_a_bare_python_runs_the_agent_with_nothing_but_the_wheel(
    bare: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    with zipfile.ZipFile(obstore_wheel(platform.machine())) as wheel:
        wheel.extractall(tmp_path / "wheel")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "wheel"))
    hub = Hub(tmp_path, build_agent(tmp_path / "agent.pyz"), python=bare)
    hub.shell("echo out of a bare machine")
    started = hub.start()
    assert started.returncode == 0, started.stderr
    try:
        assert hub.wait_end()["phase"] == "succeeded"
        assert "out of a bare machine" in hub.log()
    finally:
        hub.stop()
