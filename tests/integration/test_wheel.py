"""The wheel stands alone: code, data, Terraform modules and configs, in an environment with nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(build, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("harchos_infra-*.whl"))


def test_modules_configs_data_and_notices_are_in_it(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    for needed in (
        "harchos_infra/_share/terraform/modules/local-hub/main.tf",
        "harchos_infra/_share/configs/training/digits.yaml",
        "harchos_infra/catalog/data/offers.csv",
        "harchos_infra/grid/data/traces_2022.npy",
        "harchos_infra/grid/data/LICENSE-ODbL",
        "harchos_infra/runs/migrations/versions/0001_first_ledger.py",
        "harchos_infra/py.typed",
    ):
        assert needed in names
    assert not [name for name in names if "__pycache__" in name or name.startswith("tests")]


@pytest.mark.slow
def test_it_plans_in_an_empty_environment(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    install = [venv / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", wheel]
    done = subprocess.run(install, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HARCHOS_HOME": str(tmp_path / "home")}

    def harchos(*args: str) -> str:
        done = subprocess.run(
            [venv / "bin" / "harchos", *args], cwd=tmp_path, env=environ, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    harchos("init", "training/digits", str(tmp_path / "mine"))
    plan = json.loads(
        harchos(
            "plan", str(tmp_path / "mine" / "digits.yaml"), "--now", "2022-07-01T00:00Z", "--format", "json"
        )
    )
    assert plan["schema"] == "harchos.plan/1"
    assert plan["chosen"]["segments"]
