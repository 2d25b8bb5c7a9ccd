"""Hubs on AWS, Google Cloud and Azure through the real Terraform: made, marked, and gone whatever happens.

What exists is what the replayed clouds hold, never what the product says.
"""

from __future__ import annotations

import json
import random
import shutil
import string
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harchos_infra.errors import HarchosError
from harchos_infra.provision.child import CancelledError
from harchos_infra.provision.event import TerraformEvent
from harchos_infra.provision.failure import ProvisionError
from harchos_infra.provision.root_module import write_root
from harchos_infra.provision.terraform import Changes
from support.schema_replay import Fault, Replay
from support.schema_replay.fixture import replay as replay
from support.schema_replay.refused import REFUSED, Refused
from support.schema_replay.schemas import load
from support.schema_replay.stage import CLOUDS, MACHINE, PROVIDER, Stage, kinds, staged
from support.schema_replay.world import Call

Record = Callable[[str, object], None]


@pytest.fixture(params=CLOUDS)
def stage(
    request: pytest.FixtureRequest, replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Stage:
    return staged(request.param, replay, tmp_path, monkeypatch)


def test_a_root_goes_through_every_step(stage: Stage, record_property: Record) -> None:
    """What each step takes is recorded, for docs/clouds.md."""
    stage.spec.workspace.mkdir(parents=True)
    write_root(stage.spec, stage.spec.workspace)
    terraform = stage.terraform()

    def timed(step: str, command: Callable[[], Any]) -> Any:
        begun = time.perf_counter()
        result = command()
        record_property(f"seconds of {step}", f"{time.perf_counter() - begun:.1f}")
        return result

    timed("init", terraform.init)
    timed("validate", terraform.validate)
    planned = timed("plan", terraform.plan)
    assert planned.add and not planned.change and not planned.remove
    assert timed("apply", terraform.apply) == planned
    assert timed("second plan", terraform.plan) == Changes()
    record_property("resources", str(len(stage.left)))
    assert timed("destroy", terraform.destroy) == Changes(remove=planned.add)
    assert stage.left == []


def test_a_hub_is_made_once_and_leaves_nothing_when_destroyed(stage: Stage) -> None:
    outputs = stage.provisioner().create(stage.spec)
    assert outputs["hub"] == stage.spec.hub
    machines = [one for one in stage.left if one.type == MACHINE[stage.spec.cloud]]
    assert len(machines) == 2
    assert sorted(map(str.lower, outputs["instances"])) == sorted(one.id.lower() for one in machines)

    assert stage.terraform().plan() == Changes()
    made = len(stage.replay.world.done("create"))
    stage.provisioner().create(stage.spec)
    assert len(stage.replay.world.done("create")) == made

    stage.provisioner().destroy(stage.spec)
    assert stage.left == []
    assert stage.provisioner().state(stage.spec.directory) == []
    stage.provisioner().destroy(stage.spec)


def test_the_kinds_at_which_faults_are_injected_are_all_there_are(stage: Stage) -> None:
    stage.provisioner().create(stage.spec)
    assert sorted({each.type for each in stage.left}) == kinds(stage.spec.cloud)


def test_everything_that_can_carry_the_marks_carries_them(stage: Stage, record_property: Record) -> None:
    stage.provisioner().create(stage.spec)
    tags = stage.spec.tags
    labels = {name.replace(":", "-"): value for name, value in tags.items()}
    labels["harchos-expires"] = "2026-11-26t06-00-00z"
    schemas, marked = load(PROVIDER[stage.spec.cloud]).resources, 0
    for each in stage.left:
        attributes = schemas[each.type]["block"]["attributes"]
        if "tags" in attributes and stage.spec.cloud != "gcp":
            assert tags.items() <= each.tags.items(), each
            marked += 1
        elif "labels" in attributes:
            assert labels.items() <= each.tags.items(), each
            marked += 1
    record_property("marked", str(marked))


def test_what_is_needed_goes_after_what_needs_it(stage: Stage) -> None:
    stage.provisioner().create(stage.spec)
    made = [call.id for call in stage.replay.world.done("create")]
    stage.provisioner().destroy(stage.spec)
    gone = [call.id for call in stage.replay.world.done("delete")]
    assert sorted(map(str, gone)) == sorted(map(str, made))
    for call in stage.replay.world.done("create"):
        for other in named_in(call, made):
            assert gone.index(call.id) < gone.index(other), f"{other} went before {call.id}"


def named_in(call: Call, ids: list[str | None]) -> list[str]:
    """Return the resources that another one was created with; only by ids that are nobody's name, too."""
    text = json.dumps(call.values)
    return [i for i in ids if i and i != call.id and ("/" in i or i[-17:].isalnum()) and f'"{i}"' in text]


def test_a_destroy_that_dies_with_terraform_is_finished_by_the_next(stage: Stage) -> None:
    stage.provisioner().create(stage.spec)
    machine = MACHINE[stage.spec.cloud]
    stage.replay.faults[f"{machine}:delete"] = Fault(crash=True, times=1)
    stage.listing.refuses |= {machine, "azurerm_resource_group"}
    with pytest.raises(HarchosError, match="killed by signal 9"):
        stage.provisioner().destroy(stage.spec)
    stage.listing.refuses.clear()
    stage.provisioner().destroy(stage.spec)
    assert stage.left == []


@pytest.mark.parametrize("refused", {r.cloud: r for r in REFUSED}.values(), ids=lambda r: r.cloud)
def test_a_refusal_says_what_where_and_what_next(
    refused: Refused, replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = staged(refused.cloud, replay, tmp_path, monkeypatch)
    replay.faults[refused.at] = Fault(error=refused.text)
    with pytest.raises(ProvisionError) as raised:
        stage.provisioner().create(stage.spec)
    error = raised.value
    assert error.code == refused.code
    assert error.what.startswith(f"{refused.cloud}/{stage.spec.region}: ")
    assert refused.text in error.what
    assert error.hint


def test_a_boot_text_above_the_limit_is_refused_before_anything_is_made(stage: Stage) -> None:
    noise = "".join(random.Random(1).choices(string.ascii_letters, k=40_000))
    with pytest.raises(ProvisionError) as raised:
        stage.provisioner().create(replace(stage.spec, environment={"NOISE": noise}))
    assert raised.value.code == "user-data"
    assert not raised.value.elsewhere
    assert stage.left == []


def _lose_directory(stage: Stage) -> None:
    shutil.rmtree(stage.spec.directory)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda s: (s.spec.workspace / "terraform.tfstate").unlink(), id="its state is lost"),
        pytest.param(
            lambda s: (s.spec.workspace / "terraform.tfstate").write_text("{"), id="its state is corrupt"
        ),
        pytest.param(lambda s: shutil.rmtree(s.spec.workspace / "modules"), id="its modules are lost"),
        pytest.param(_lose_directory, id="its directory is lost"),
        pytest.param(
            lambda s: s.fail("configure", "ExpiredToken: expired"), id="Terraform's credentials have expired"
        ),
        pytest.param(
            lambda s: s.fail_machine("delete", "UnauthorizedOperation"), id="Terraform may not delete it"
        ),
        pytest.param(lambda s: s.fail_machine("read", "RequestLimitExceeded"), id="Terraform cannot read it"),
    ],
)
def test_a_hub_is_removed_by_its_marks_although(stage: Stage, damage: Callable[[Stage], object]) -> None:
    stage.provisioner().create(stage.spec)
    damage(stage)
    stage.provisioner().destroy(stage.spec)
    assert stage.left == []


def test_what_the_cloud_will_not_give_up_is_named(stage: Stage) -> None:
    stage.provisioner().create(stage.spec)
    machine = MACHINE[stage.spec.cloud]
    stage.fail_machine("delete", "UnauthorizedOperation: terraform may not")
    stage.listing.refuses |= {machine, "azurerm_resource_group"}
    with pytest.raises(HarchosError) as raised:
        stage.provisioner().destroy(stage.spec)
    for each in stage.left:
        if each.type == machine:
            assert f"{machine} {each.id}" in raised.value.what
    assert "terraform may not" in raised.value.what
    assert "replayed account" in raised.value.what
    assert raised.value.hint == "correct the cause and run `harchos destroy` again, or `harchos sweep`"

    stage.listing.refuses.clear()
    stage.provisioner().destroy(stage.spec)
    assert stage.left == []


def test_a_create_goes_on_where_a_refused_one_stopped(stage: Stage) -> None:
    stage.fail_machine("create", "InsufficientInstanceCapacity")
    with pytest.raises(ProvisionError):
        stage.provisioner().create(stage.spec)
    made = {each.id for each in stage.left}
    assert made
    stage.replay.faults.clear()
    stage.provisioner().create(stage.spec)
    assert made < {each.id for each in stage.left}
    assert stage.terraform().plan() == Changes()


def test_a_machine_taken_back_behind_terraforms_back_does_not_keep_the_rest(stage: Stage) -> None:
    stage.provisioner().create(stage.spec)
    for each in stage.left:
        if each.type == MACHINE[stage.spec.cloud]:
            stage.replay.world.remove(each.type, each.id)
    stage.provisioner().destroy(stage.spec)
    assert stage.left == []


def test_a_state_is_for_its_owner_only(stage: Stage) -> None:
    stage.provisioner().create(stage.spec)
    assert stage.spec.workspace.stat().st_mode & 0o777 == 0o700
    for state in stage.spec.workspace.glob("*.tfstate*"):
        assert state.stat().st_mode & 0o777 == 0o600, state


def test_an_interrupted_create_ends_terraform_and_is_destroyed(stage: Stage) -> None:
    cancel = threading.Event()
    stage.replay.faults[f"{MACHINE[stage.spec.cloud]}:create"] = Fault(delay_s=0.5)

    def interrupt(event: TerraformEvent) -> None:
        if event.type == "apply_start" and MACHINE[stage.spec.cloud] in (event.address or ""):
            cancel.set()

    with pytest.raises(CancelledError):
        stage.provisioner(cancel=cancel).create(stage.spec, interrupt)
    assert stage.replay.callers() == []
    stage.provisioner().destroy(stage.spec)
    assert stage.left == []
