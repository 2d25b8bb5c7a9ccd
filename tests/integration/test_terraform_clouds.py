"""Hubs on AWS, Google Cloud and Azure through the real Terraform: made, marked, and gone whatever happens.

What exists is what the replayed clouds hold, never what the product says.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harchos_infra.provision.failure import ProvisionError
from harchos_infra.provision.terraform import Changes
from support.schema_replay import Fault, Replay
from support.schema_replay.fixture import replay as replay
from support.schema_replay.refused import REFUSED, Refused
from support.schema_replay.schemas import load
from support.schema_replay.stage import CLOUDS, MACHINE, PROVIDER, Stage, kinds, staged
from support.schema_replay.world import Call


@pytest.fixture(params=CLOUDS)
def stage(
    request: pytest.FixtureRequest, replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Stage:
    return staged(request.param, replay, tmp_path, monkeypatch)


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


def test_everything_that_can_carry_the_marks_carries_them(stage: Stage) -> None:
    stage.provisioner().create(stage.spec)
    tags = stage.spec.tags
    labels = {name.replace(":", "-"): value for name, value in tags.items()}
    labels["harchos-expires"] = "2026-11-26t06-00-00z"
    schemas = load(PROVIDER[stage.spec.cloud]).resources
    for each in stage.left:
        attributes = schemas[each.type]["block"]["attributes"]
        if "tags" in attributes and stage.spec.cloud != "gcp":
            assert tags.items() <= each.tags.items(), each
        elif "labels" in attributes:
            assert labels.items() <= each.tags.items(), each


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


DENIED = {r.cloud: r.text for r in REFUSED if r.code == "permission"}
FAULTS = {
    "refused": Fault(error="denied"),
    "made, but its answer came too late": Fault(error="timeout while waiting for state", leaves="tainted"),
    "Terraform was killed when it was made": Fault(crash=True, leaves="orphan"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize(("cloud", "kind"), [(cloud, kind) for cloud in CLOUDS for kind in kinds(cloud)])
def test_after_any_fault_a_destroy_leaves_nothing(
    cloud: str, kind: str, fault: Fault, replay: Replay, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = staged(cloud, replay, tmp_path, monkeypatch)
    denied = Fault(error=DENIED[cloud])
    replay.faults[f"{kind}:create"] = denied if fault.error == "denied" else fault
    with pytest.raises(ProvisionError) as raised:
        stage.provisioner().create(stage.spec)
    assert raised.value.code in ("permission", "timeout", "crash")
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
