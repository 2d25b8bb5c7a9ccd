"""The module that renders what a rented machine is booted with, by real Terraform."""

from __future__ import annotations

import base64
import gzip
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harchos_infra.hub import instance
from harchos_infra.provision.binary import find_binary, terraform_environment
from harchos_infra.share import share_directory

MODULE = share_directory("terraform") / "modules" / "hub-boot"


def terraform(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find_binary().path, *words],
        cwd=directory,
        env=terraform_environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """Return a copy of the module, with the link in it followed."""
    return Path(shutil.copytree(MODULE, tmp_path / "hub-boot", ignore=shutil.ignore_patterns(".terraform*")))


def test_the_modules_own_tests_pass(module: Path) -> None:
    assert terraform(module, "init", "-input=false").returncode == 0
    tested = terraform(module, "test", "-no-color")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert "0 failed" in tested.stdout


def test_it_is_formatted(module: Path) -> None:
    assert terraform(module, "fmt", "-check", "-recursive").stdout == ""


@pytest.mark.parametrize("example", ["minimal", "complete"])
def test_an_example_applies_and_then_has_nothing_to_change(module: Path, example: str) -> None:
    directory = module / "examples" / example
    for words in (["init"], ["apply", "-auto-approve"], ["plan", "-detailed-exitcode"]):
        done = terraform(directory, *words, "-input=false")
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_machine_gets_this_very_instance_py_and_no_package(module: Path) -> None:
    directory = module / "examples" / "minimal"
    terraform(directory, "init", "-input=false")
    terraform(directory, "apply", "-auto-approve", "-input=false")
    document: dict[str, Any] = yaml.safe_load(terraform(directory, "output", "-raw", "user_data").stdout)
    assert set(document) == {
        "package_update",
        "package_upgrade",
        "ssh_pwauth",
        "bootcmd",
        "write_files",
        "runcmd",
    }
    files = {file["path"]: file for file in document["write_files"]}
    program = gzip.decompress(base64.b64decode(files["/opt/harchos/instance.py"]["content"]))
    assert program == Path(instance.__file__).read_bytes()
    assert files["/opt/harchos/boot.json"]["permissions"] == "0600"
