"""Providers are downloaded once for all hubs. Here they come from a folder in the place of the registry."""

from __future__ import annotations

import platform
import zipfile
from pathlib import Path

import pytest

from harchos_infra.provision.binary import find_binary, plugin_cache
from harchos_infra.provision.failure import ProvisionError
from harchos_infra.provision.provisioner import Provisioner
from harchos_infra.provision.root_module import write_root
from harchos_infra.provision.terraform import Terraform
from support.schema_replay.stage import spec_of

TARGET = "linux_" + {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


@pytest.fixture(autouse=True)
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Serve one version of the AWS provider, which is never started, out of a folder."""
    folder = tmp_path / "mirror"
    package = folder / "registry.terraform.io" / "hashicorp" / "aws"
    package.mkdir(parents=True)
    with zipfile.ZipFile(package / f"terraform-provider-aws_6.47.0_{TARGET}.zip", "w") as archive:
        archive.writestr("terraform-provider-aws_v6.47.0", "#!/bin/false\n")
    configuration = tmp_path / "terraformrc"
    configuration.write_text(
        f'provider_installation {{\n  filesystem_mirror {{\n    path = "{folder}"\n  }}\n}}\n'
    )
    monkeypatch.setenv("TF_CLI_CONFIG_FILE", str(configuration))
    monkeypatch.setenv("HARCHOS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TF_PLUGIN_CACHE_DIR", raising=False)
    return folder


def initialised(cloud: str, workspace: Path) -> Path:
    """Return where the provider of a hub's workspace lies."""
    workspace.mkdir()
    write_root(spec_of(cloud, workspace), workspace)
    Terraform(workspace, find_binary()).init()
    (found,) = workspace.glob(f".terraform/providers/*/*/*/*/{TARGET}")
    return found.resolve()


def test_two_hubs_share_one_provider(tmp_path: Path) -> None:
    first, second = (initialised("aws", tmp_path / name) for name in ("one", "two"))
    assert first == second
    assert plugin_cache() in first.parents


def test_a_cache_of_the_users_own_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_PLUGIN_CACHE_DIR", str(tmp_path / "own"))
    assert tmp_path / "own" in initialised("aws", tmp_path / "one").parents


def test_a_provider_that_cannot_be_had_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ProvisionError) as raised:
        Provisioner().create(spec_of("gcp", tmp_path))
    assert raised.value.code == "other"
    assert not raised.value.elsewhere
    assert raised.value.hint and "registry.terraform.io" in raised.value.hint
