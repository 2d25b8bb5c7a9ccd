"""What Terraform noted of a workspace on a disk that was full: nothing is lost with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harchos_infra.provision.binary import find_binary
from harchos_infra.provision.terraform import Terraform

ROOT = {
    "terraform": {"backend": {"local": {}}},
    "module": {"it": {"source": "./it"}},
}
MODULE = {"resource": {"terraform_data": {"it": {"input": "x"}}}}


@pytest.mark.parametrize("name", ["terraform.tfstate", "modules/modules.json"])
@pytest.mark.parametrize("text", ["", '{"version"'], ids=["empty", "half"])
def test_a_workspace_is_prepared_again_whose_notes_are_torn(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "it").mkdir()
    (tmp_path / "it" / "main.tf.json").write_text(json.dumps(MODULE))
    (tmp_path / "main.tf.json").write_text(json.dumps(ROOT))
    terraform = Terraform(tmp_path, find_binary())
    terraform.init()
    assert terraform.apply().add == 1
    (tmp_path / ".terraform" / name).write_text(text)
    terraform.init()
    assert not terraform.plan(), "the state is as it was"
