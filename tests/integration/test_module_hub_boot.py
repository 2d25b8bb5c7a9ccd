"""The module that renders what a rented machine is booted with, by real Terraform."""

from __future__ import annotations

import base64
import gzip
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from harchos_infra.hub import instance
from harchos_infra.hub.nodes import hub_of
from harchos_infra.provision.binary import find_binary, terraform_environment
from harchos_infra.runs.mailboxes import node_boxes_of
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


def test_each_node_is_booted_as_the_node_whose_mailbox_the_controller_fills(module: Path) -> None:
    (module / "terraform.tfvars.json").write_text(
        json.dumps(
            {
                **{"cloud": "aws", "run": "digits-0a1b2c", "hub": "digits-0a1b2c-h1", "workload": "digits"},
                **{"expires": "2026-11-24T06:00:00Z", "mailbox": "s3://box/team", "nodes": 3},
            }
        )
    )
    for words in (["init"], ["apply", "-auto-approve"]):
        done = terraform(module, *words, "-input=false")
        assert done.returncode == 0, done.stdout + done.stderr
    texts = json.loads(terraform(module, "output", "-json", "user_data").stdout)
    boots = [
        json.loads(file["content"])
        for text in texts
        for file in yaml.safe_load(text)["write_files"]
        if file["path"] == "/opt/harchos/boot.json"
    ]
    hub = {
        "run": "digits-0a1b2c",
        "hub": "digits-0a1b2c-h1",
        "mailbox": "s3://box/team",
        "place": {"nodes": 3},
    }
    assert [boot["hub"] for boot in boots] == [box.hub for box in node_boxes_of(hub)]
    for number, boot in enumerate(boots):
        assert (boot["environment"]["HARCHOS_NODE"], boot["environment"]["HARCHOS_NODES"]) == (
            str(number),
            "3",
        )
        assert hub_of(boot["hub"], number) == hub["hub"]
