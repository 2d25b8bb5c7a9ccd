"""A state file whose lock does not say who holds it: Terraform does not wait for it, so we do."""

from __future__ import annotations

import fcntl
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harchos_infra.provision.binary import find_binary
from harchos_infra.provision.event import TerraformEvent
from harchos_infra.provision.terraform import Terraform, TerraformError

ROOT = {"terraform": {"backend": {"local": {}}}, "resource": {"terraform_data": {"it": {"input": "x"}}}}


def workspace(directory: Path, *, waits_s: int) -> Terraform:
    (directory / "main.tf.json").write_text(json.dumps(ROOT))
    (directory / "terraform.tfstate").touch()
    terraform = Terraform(directory, find_binary(), state_lock_timeout_s=waits_s)
    terraform.init()
    return terraform


@contextmanager
def locked(directory: Path, info: str | None) -> Iterator[None]:
    """Hold the state's lock as Terraform does; `info` is what it has written of itself by then."""
    told = directory / ".terraform.tfstate.lock.info"
    with (directory / "terraform.tfstate").open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        if info is not None:
            told.write_text(info)
        yield
        told.unlink(missing_ok=True)


@pytest.mark.parametrize("info", [None, "", '{"ID": "4f1'], ids=["nothing", "empty", "half"])
def test_a_lock_that_does_not_say_who_holds_it_is_waited_for(tmp_path: Path, info: str | None) -> None:
    terraform = workspace(tmp_path, waits_s=60)
    heard: list[TerraformEvent] = []
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        with locked(tmp_path, info):
            is_held.set()
            may_go.wait(30)

    def let_go_once_it_was_met() -> None:
        while sum(event.type == "version" for event in list(heard)) < 2:
            time.sleep(0.05)
        may_go.set()

    holder = threading.Thread(target=hold)
    holder.start()
    is_held.wait(10)
    threading.Thread(target=let_go_once_it_was_met, daemon=True).start()
    assert terraform.apply(heard.append).add == 1
    holder.join()
    assert not [event for event in heard if event.level == "error"], "it was only waited for"


def test_it_is_not_waited_for_without_end(tmp_path: Path) -> None:
    terraform = workspace(tmp_path, waits_s=1)
    with (
        locked(tmp_path, '{"ID": "4f1'),
        pytest.raises(TerraformError, match="could not unmarshal lock info"),
    ):
        terraform.apply()
    assert terraform.apply().add == 1
