"""A Terraform that was killed says so, whatever it was doing: the same is tried again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from harchos_infra.provision.binary import Binary
from harchos_infra.provision.terraform import Terraform, TerraformError
from harchos_infra.provision.workspace_lock import WorkspaceLock


@pytest.mark.parametrize(
    "command", [Terraform.apply, Terraform.outputs, Terraform.state_list, Terraform.validate]
)
def test_a_killed_terraform_is_told_from_one_that_failed(
    tmp_path: Path, command: Callable[[Terraform], object]
) -> None:
    binary = tmp_path / "terraform"
    binary.write_text("#!/bin/sh\nkill -9 $$\n")
    binary.chmod(0o755)
    terraform = Terraform(
        tmp_path,
        Binary(binary, (1, 11, 4)),
        cancel=threading.Event(),
        lock=WorkspaceLock(tmp_path),
        state_lock_timeout_s=1,
    )
    with pytest.raises(TerraformError, match="was killed by signal 9"):
        command(terraform)
