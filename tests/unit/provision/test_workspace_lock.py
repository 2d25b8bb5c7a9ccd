"""One workspace, one Terraform."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.provision.workspace_lock import WorkspaceLock


def test_a_held_lock_names_its_holder(tmp_path: Path) -> None:
    with (
        WorkspaceLock(tmp_path).held(),
        pytest.raises(HarchosError, match=rf"in use by .* \(pid {os.getpid()}\)"),
        WorkspaceLock(tmp_path, timeout_s=0).held(),
    ):
        pass


def test_it_is_free_again_afterwards_also_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), WorkspaceLock(tmp_path).held():
        raise ZeroDivisionError
    with WorkspaceLock(tmp_path, timeout_s=0).held():
        pass


def test_commands_of_one_operation_share_it(tmp_path: Path) -> None:
    lock = WorkspaceLock(tmp_path, timeout_s=0)
    with lock.held() as outer:
        with lock.held() as inner:
            assert inner == outer
        with pytest.raises(HarchosError), WorkspaceLock(tmp_path, timeout_s=0).held():
            pass


def test_a_child_that_was_given_it_as_standard_input_keeps_it(tmp_path: Path) -> None:
    with WorkspaceLock(tmp_path).held() as descriptor:
        child = subprocess.Popen(
            [sys.executable, "-c", "import time; time.sleep(60)"], stdin=descriptor, close_fds=True
        )
    try:
        with (
            pytest.raises(HarchosError, match=rf"pid {child.pid}\)"),
            WorkspaceLock(tmp_path, timeout_s=0.2).held(),
        ):
            pass
    finally:
        child.kill()
        child.wait()
    with WorkspaceLock(tmp_path, timeout_s=0).held():
        pass
